//! The scenario files, in the order in which they are listed and run.

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*]
    };
}

/// The name and the text of each file.
pub(crate) const FILES: &[(&str, &str)] = files! {
    "cli-strip-offer"
    "cli-mangle-offer"
    "cli-no-caps"
    "cli-refuse-temp"
    "cli-refuse-perm"
    "cli-refuse-odd"
    "cli-refuse-empty"
    "cli-refuse-garbage"
    "cli-refuse-bye"
    "cli-preauth"
    "cli-preauth-offer"
    "cli-silence"
    "cli-silence-greeting"
    "cli-redirect"
    "cli-redirect-greeting"
    "cli-redirect-stream"
    "cli-redirect-sts"
    "cli-many-sasl"
    "cli-challenge"
    "cli-challenge-clear-password"
    "cli-local-infile"
    "cli-inject-caps"
    "cli-inject-future"
    "cli-inject-partial"
    "cli-inject-affirmative"
    "cli-inject-literal"
    "cli-inject-stanza"
    "cli-inject-bye"
    "cli-inject-alert"
    "cli-presend"
    "cli-split-0"
    "cli-split-10"
    "cli-split-100"
    "cli-state-caps"
    "cli-state-caps-code"
    "cli-state-lost"
    "cli-state-list"
    "cli-state-message"
    "cli-state-banner"
    "cli-spoof-greeting"
    "cli-spoof-error"
    "cli-spoof-alert"
    "cli-cert-selfsigned"
    "cli-cert-unknown-root"
    "cli-cert-wrong-host"
    "cli-cert-expired"
    "cli-cert-not-yet"
    "cli-cert-wrong-eku"
    "cli-cert-leaf-ca"
    "cli-cert-cn-only"
    "cli-cert-weak-key"
    "cli-cert-sha1"
    "cli-hs-garbage"
    "cli-hs-alert"
    "cli-hs-stall"
    "cli-hs-old"
    "cli-hs-alpn"
    "cli-truncate"
    "cli-data-clear"
    "snd-sts-strip"
    "snd-sts-certificate"
    "snd-sts-redirect"
    "snd-sts-record-removed"
    "snd-sts-record-fails"
    "snd-sts-host-unreachable"
    "snd-sts-host-certificate"
    "snd-dane-strip"
    "snd-dane-certificate"
    "snd-dane-lookup-fails"
    "snd-dane-mx-fails"
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

    #[test]
    fn the_documentation_has_every_scenario() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/attack.md");
        let page = std::fs::read_to_string(path).unwrap();
        for scenario in crate::Scenario::all().unwrap() {
            let row = format!("| `{}` | {} |", scenario.id, scenario.title);
            assert!(page.contains(&row), "docs/attack.md lacks: {row}");
        }
    }
}
