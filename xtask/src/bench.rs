//! Runs the benches and writes their figures into `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

use crate::{cargo, process, root};

mod gateway;

const DOCUMENT: &str = "docs/benchmarks.md";
/// The lines before and after the figures.
const CORE: [&str; 2] = ["<!-- figures: written by `cargo xtask bench` -->\n", "<!-- end of figures -->\n"];
const AUDIT: [&str; 2] =
    ["<!-- audit: written by `cargo xtask bench audit` -->\n", "<!-- end of audit -->\n"];
const SURVEYS: [&str; 2] =
    ["<!-- surveys: written by `cargo xtask bench audit` -->\n", "<!-- end of surveys -->\n"];
const INSPECT: [&str; 2] =
    ["<!-- inspect: written by `cargo xtask bench inspect` -->\n", "<!-- end of inspect -->\n"];
const SURVEY: [&str; 2] =
    ["<!-- survey: written by `cargo xtask bench survey` -->\n", "<!-- end of survey -->\n"];
const POLICY: [&str; 2] =
    ["<!-- policy: written by `cargo xtask bench policy` -->\n", "<!-- end of policy -->\n"];
/// The headers of the tables.
const TOOLS: &str = "| tool | wall, s | CPU, s | connections | upgrade / TLS | what it looks at |\n|---|--:|--:|--:|--:|---|\n";
const SURVEY_COSTS: &str = "| server | tool | wall, s | CPU, s | connections | versions | suites | groups | DH sizes | certificates |\n\
                            |---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
const DIFFERENCES: &str = "| tool | servers | found by | what | why |\n|---|---|---|---|---|\n";
const SERVICES: &str = "| service | answers/s, one at a time | median, µs | p99, µs | answers/s, 50 in one write \
                        | MiB, 10,000 domains | MiB, 100,000 domains | start, ms |\n|---|--:|--:|--:|--:|--:|--:|--:|\n";
const CAPTURES: &str = "| file | tool | CPU, s | ns/packet | GiB/s | MiB resident | times inspect |\n|---|---|--:|--:|--:|--:|--:|\n";
const GROWTH: &str = "| domains | endpoints | handshakes | domains/s (DNS) | endpoints/s | handshakes/s | CPU, ms/domain (DNS) \
                      | CPU, ms/endpoint | MiB |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
const SHARE: &str = "| workers | domains | endpoints | handshakes | domains/s (DNS) | connections/s | CPU of the workers, s | CPU of all others, s \
                     | MiB of a worker | MiB of the coordinator | MiB of the NATS server |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
const BULK: &str = "| tool | hosts | wall, s | hosts/s | CPU, ms/host | connections/host | MiB |\n|---|--:|--:|--:|--:|--:|--:|\n";
const BOUNDS: &str = "| what | measured | limit |\n|---|---|---|\n";

pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    match *args {
        [] => measure(true),
        ["--check"] => measure(false).and(gateway::check()),
        ["audit"] => audit(),
        ["gateway"] => gateway::publish(),
        ["gateway", "ratios"] => gateway::publish_ratios(),
        ["policy"] => {
            let figures = output("starttls-cli", "policy")?;
            publish(POLICY, &[facts()?, table(SERVICES, "policy", &figures)].join("\n"))
        }
        ["survey"] => {
            let figures = output("starttls-cli", "survey")?;
            let tables = [
                facts()?,
                table(GROWTH, "growth", &figures),
                table(SHARE, "share", &figures),
                table(BULK, "tool", &figures),
            ];
            publish(SURVEY, &tables.join("\n"))
        }
        ["inspect"] => {
            let figures = output("starttls-inspect", "inspect")?;
            let tables =
                [facts()?, table(CAPTURES, "inspect", &figures), table(BOUNDS, "inspect-bound", &figures)];
            publish(INSPECT, &tables.join("\n"))
        }
        [name, ref rest @ ..] => {
            let mut command = cargo(["bench", "--workspace", "--locked", "--bench", name]);
            command.args(rest);
            process::run(&command, Duration::from_secs(3600), None)
        }
    }
}

/// Measures an audit beside other tools, and compares the TLS survey with what they find.
fn audit() -> Result<(), String> {
    let costs = output("starttls-cli", "tools")?;
    publish(AUDIT, &[facts()?, table(TOOLS, "tool", &costs)].join("\n"))?;
    let surveys = output("starttls-cli", "surveys")?;
    let tables = [
        facts()?,
        table(SURVEY_COSTS, "survey", &surveys),
        String::from("### Differences\n"),
        table(DIFFERENCES, "difference", &surveys),
    ];
    publish(SURVEYS, &tables.join("\n"))
}

/// Fails if hostile input is too expensive. Writes the document if `write` is set.
fn measure(write: bool) -> Result<(), String> {
    let mut figures = String::new();
    for name in ["allocations", "negotiation"] {
        if write || name == "negotiation" {
            figures += &output("starttls-proto", name)?;
        }
    }
    let rows: Vec<Vec<&str>> = figures.lines().map(|line| line.split('\t').collect()).collect();
    let failed: Vec<String> =
        rows.iter().filter(|row| row.contains(&"FAILED")).map(|row| row.join(" ")).collect();
    if write {
        publish(CORE, &[facts()?, costs(&rows), hostile(&rows)].join("\n"))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("too expensive:\n{}", failed.join("\n"))) }
}

fn publish(marks: [&str; 2], figures: &str) -> Result<(), String> {
    let path = root().join(DOCUMENT);
    let at = |e: std::io::Error| format!("{}: {e}", path.display());
    let text = fs::read_to_string(&path).map_err(at)?;
    fs::write(&path, replaced(&text, marks, figures)?).map_err(at)?;
    println!("written: {DOCUMENT}");
    Ok(())
}

/// Runs a bench and returns its output. A bench that finds something too expensive says so in its output and fails at its end.
fn output(package: &str, name: &str) -> Result<String, String> {
    output_of(package, name, &mut |_| {})
}

/// Like [`output`], of a bench that is run with what `settings` adds to its command.
fn output_of(package: &str, name: &str, settings: &mut dyn FnMut(&mut Command)) -> Result<String, String> {
    let limit = Duration::from_secs(3600);
    let bench = || cargo(["bench", "--package", package, "--locked", "--bench", name]);
    process::run(bench().arg("--no-run"), limit, None)?;
    println!("running {name}…");
    let path = root().join(format!("target/xtask/bench-{name}.log"));
    let at = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::create_dir_all(root().join("target/xtask")).map_err(at)?;
    let mut command = bench();
    settings(&mut command);
    let ended = process::run(&command, limit, Some(&File::create(&path).map_err(at)?));
    let text = fs::read_to_string(&path).map_err(at)?;
    match ended {
        Err(problem) if !text.contains("\tFAILED\t") => Err(format!("{problem}; see {}", path.display())),
        _ => Ok(text),
    }
}

/// Returns the document with these figures between their marks.
fn replaced(text: &str, [begin, end]: [&str; 2], figures: &str) -> Result<String, String> {
    let parts = text.split_once(begin).and_then(|(head, rest)| Some((head, rest.split_once(end)?.1)));
    let (head, tail) =
        parts.ok_or_else(|| format!("{DOCUMENT} does not contain the marks around its figures"))?;
    Ok(format!("{head}{begin}\n{figures}\n{end}{tail}"))
}

fn facts() -> Result<String, String> {
    let rustc = std::process::Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_err(|e| format!("cannot run rustc: {e}"))?.stdout;
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(format!(
        "Measured on: {model}, {cores} cores; {}, release profile.\n",
        String::from_utf8_lossy(&rustc).trim()
    ))
}

/// Builds a table from the lines that start with a word.
fn table(head: &str, word: &str, lines: &str) -> String {
    let mut table = String::from(head);
    for line in lines.lines() {
        if let Some((first, cells)) = line.split_once('\t')
            && first == word
        {
            let _ = writeln!(table, "| {} |", cells.replace('\t', " | "));
        }
    }
    table
}

fn costs(rows: &[Vec<&str>]) -> String {
    let mut table = String::from(
        "### One whole negotiation\n\n\
         | protocol | side | ns | ns, byte by byte | allocations | byte by byte | peak bytes | byte by byte |\n\
         |---|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        if let ["cost", protocol, side, whole, single] = row[..] {
            let same = |other: &&Vec<&str>| other[0] == "allocations" && other[1..3] == [protocol, side];
            let memory = rows.iter().find(same).and_then(|row| row.get(3..7));
            let [count, peak, single_count, single_peak] = memory.unwrap_or_default() else { continue };
            let _ = writeln!(
                table,
                "| {protocol} | {side} | {whole} | {single} | {count} | {single_count} | {peak} | {single_peak} |"
            );
        }
    }
    table
}

fn hostile(rows: &[Vec<&str>]) -> String {
    let mut table = String::from(
        "### Hostile input\n\n\
         | protocol | side | input | octets | one piece, ns/octet | byte by byte, ns/octet | ratio | aside, ns/octet | growth |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        if let ["hostile", protocol, side, kind, octets, whole, single, aside, growth, ..] = row[..] {
            let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
            let ratio = number(single) / number(whole);
            let _ = writeln!(
                table,
                "| {protocol} | {side} | {kind} | {octets} | {whole} | {single} | {ratio:.1} | {aside} | {growth} |"
            );
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_replace_figures() {
        let [begin, end] = CORE;
        let text = format!("before\n{begin}old\n{end}after\n");
        let new = replaced(&text, CORE, "new").unwrap();
        assert_eq!(new, format!("before\n{begin}\nnew\n{end}after\n"));
        assert_eq!(replaced(&new, CORE, "new"), Ok(new.clone()));
        assert!(replaced(&new, AUDIT, "new").is_err());
    }

    #[test]
    fn lines_become_tables() {
        let lines = "allocations\tx\tclient\t3\t400\t5\t600\ncost\tx\tclient\t100\t200\n\
                     hostile\tx\tclient\tflood\t65536\t2.00\t5.00\t3.00\t2.01\tok\tafter 0: a";
        let rows: Vec<Vec<&str>> = lines.lines().map(|line| line.split('\t').collect()).collect();
        assert!(costs(&rows).ends_with("| x | client | 100 | 200 | 3 | 5 | 400 | 600 |\n"));
        let expected = "| x | client | flood | 65536 | 2.00 | 5.00 | 2.5 | 3.00 | 2.01 |\n";
        assert!(hostile(&rows).ends_with(expected));
        assert_eq!(table("head\n", "cost", lines), "head\n| x | client | 100 | 200 |\n");
    }
}
