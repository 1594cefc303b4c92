//! The tools: their commands, and the readers of their reports.

mod nmap;
mod sslscan;
mod sslyze;
mod survey;
mod testssl;

use starttls_hello::Version;

use crate::offer::Offer;

pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The command. Each `{…}` stands for a value of the run, and `{options}` for one of the next two.
    pub(crate) command: &'static str,
    /// The options for a server that upgrades.
    pub(crate) upgrade: &'static str,
    /// The options for a server with implicit TLS.
    pub(crate) implicit: &'static str,
    /// Reads the report.
    pub(crate) read: fn(&str) -> Option<Offer>,
}

/// The tools. The first one is the survey that the others are compared with.
pub(crate) const TOOLS: [Tool; 6] = [
    Tool {
        name: "starttls check --tls full",
        command: "{starttls} check --only tls --tls full --tls-hellos 250 --format json --output {report} \
                  --connect {ip}:{port} {scheme}://localhost",
        upgrade: "",
        implicit: "",
        read: survey::read,
    },
    Tool {
        name: "starttls check --tls survey",
        command: "{starttls} check --only tls --tls survey --format json --output {report} \
                  --connect {ip}:{port} {scheme}://localhost",
        upgrade: "",
        implicit: "",
        read: survey::read,
    },
    Tool {
        name: "sslscan",
        command: "sslscan --no-colour {options} --sni-name=localhost --xml={report} {ip}:{port}",
        upgrade: "--starttls-{scheme}",
        implicit: "",
        read: sslscan::read,
    },
    Tool {
        name: "sslyze",
        command: "{venv}/bin/sslyze --quiet {options} --json_out={report} localhost:{port}{{ip}}",
        upgrade: "--starttls={scheme}",
        implicit: "",
        read: sslyze::read,
    },
    Tool {
        // The protocols, each suite of each protocol, forward secrecy, and the certificates.
        name: "testssl.sh",
        command: "testssl --warnings off --color 0 --nodns none -p -E -f -S --jsonfile {report} --ip {ip} {options} \
                  localhost:{port}",
        upgrade: "--starttls {scheme}",
        implicit: "",
        read: testssl::read,
    },
    Tool {
        name: "nmap",
        command: "nmap -Pn -n {options} -p {port} -oX {report} {ip}",
        // It upgrades where it has recognized the protocol.
        upgrade: "-sV --script ssl-enum-ciphers,ssl-cert",
        implicit: "--script +ssl-enum-ciphers,+ssl-cert",
        read: nmap::read,
    },
];

/// Reads a version as the tools name it: `TLSv1.2`, `SSLv3`, `tls1_1`.
fn version(name: &str) -> Option<Version> {
    Some(match name.to_ascii_lowercase().replace('v', "").replace('_', ".").as_str() {
        "ssl2" => Version::Ssl2,
        "ssl3" => Version::Ssl3,
        "tls1" | "tls1.0" => Version::Tls10,
        "tls1.1" => Version::Tls11,
        "tls1.2" => Version::Tls12,
        "tls1.3" => Version::Tls13,
        _ => return None,
    })
}

/// Returns the SHA-256 of a certificate in PEM, in the form of our reports.
fn sha256(pem: &str) -> Option<String> {
    let bundle = starttls_x509::Bundle::read("certificate", pem.as_bytes()).ok()?;
    let certificates = bundle.certificates().ok()?;
    Some(starttls_x509::hex(&starttls_x509::sha256(&certificates.first()?.der)))
}
