//! ManageSieve.

use crate::client::{base64, client};
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "sieve-connect puts a script into Dovecot", protocol: "sieve", talk: sieve_connect },
    Talk { name: "openssl s_client lists Dovecot's scripts", protocol: "sieve", talk: s_client },
];

fn sieve_connect(visit: &Visit<'_>) {
    let script = visit.file("mine.sieve", "# STARTTLS\nkeep;\n");
    let connect = || {
        client("sieve-connect", "sieve-connect")
            .args(["--server", "localhost", "--port", &visit.port.to_string(), "--user", visit.user()])
            .args(["--authmech", "PLAIN", "--passwordfd", "0", "--tlscafile"])
            .args([&visit.ca_file])
            .input(format!("{}\n", visit.password()))
    };
    connect().args(["--upload", "--remotesieve", "mine", "--localsieve"]).args([script]).run().with(&[]);
    connect().args(["--list"]).run().with(&["mine"]);
}

fn s_client(visit: &Visit<'_>) {
    let login = base64(&format!("\0{}\0{}", visit.user(), visit.password()));
    let input = format!(
        "STARTTLS\r\nAUTHENTICATE \"PLAIN\" \"{login}\"\r\nGETSCRIPT \"mine\"\r\nLISTSCRIPTS\r\nLOGOUT\r\n"
    );
    visit.s_client(input).run().with(&["\"SASL\" \"PLAIN", "NO ", "# STARTTLS", "\"mine\"\r\nOK"]);
}
