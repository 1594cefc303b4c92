//! The files with the scenarios, in the order in which they are listed and run.

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*]
    };
}

/// Name and text of each file.
pub(crate) const FILES: &[(&str, &str)] = files! {
    "cli-strip-offer"
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
            .collect();
        let mut listed: Vec<&str> = FILES.iter().map(|file| file.0).collect();
        found.sort();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }
}
