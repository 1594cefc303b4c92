//! libnbd and QEMU's clients.

use crate::client::client;
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "nbdinfo verifies and reads the size", protocol: "nbd", talk: nbdinfo },
    Talk { name: "nbdcopy writes and reads the disk", protocol: "nbd", talk: nbdcopy },
    Talk { name: "qemu-img verifies and reads the size", protocol: "nbd", talk: qemu_img },
];

/// The size of the disk in octets.
const SIZE: usize = 1 << 20;

/// Returns the URI of the disk for libnbd, which reads `ca-cert.pem` in a folder.
fn uri(visit: &Visit<'_>) -> String {
    format!("nbds://localhost:{}/?tls-certificates={}", visit.port, certificates(visit))
}

fn certificates(visit: &Visit<'_>) -> String {
    let file = visit.file("ca-cert.pem", std::fs::read(&visit.ca_file).unwrap());
    file.parent().unwrap().display().to_string()
}

fn nbdinfo(visit: &Visit<'_>) {
    // Without TLS, the gateway refuses every option.
    let refused = client("nbdinfo", "libnbd-bin").args([format!("nbd://localhost:{}/", visit.port)]).run();
    assert!(!refused.ok, "{}", refused.out);
    let session = visit.ended();
    assert_eq!((session.front, session.upstream), (false, None), "{session:?}");
    client("nbdinfo", "libnbd-bin").args(["--size", &uri(visit)]).run().with(&[&SIZE.to_string()]);
}

fn nbdcopy(visit: &Visit<'_>) {
    let pattern: Vec<u8> = b"starttls".iter().copied().cycle().take(SIZE).collect();
    let (source, copy) = (visit.file("source", &pattern), visit.file("copy", b""));
    for [from, to] in [[source.display().to_string(), uri(visit)], [uri(visit), copy.display().to_string()]] {
        let copied = client("nbdcopy", "libnbd-bin").args([from, to]).run();
        assert!(copied.ok, "{}", copied.err);
    }
    assert!(std::fs::read(copy).unwrap() == pattern, "the copy differs");
}

fn qemu_img(visit: &Visit<'_>) {
    let credentials =
        format!("tls-creds-x509,id=tls,endpoint=client,verify-peer=yes,dir={}", certificates(visit));
    let options = format!("driver=nbd,host=localhost,port={},tls-creds=tls", visit.port);
    client("qemu-img", "qemu-utils")
        .args(["info", "--object", &credentials, "--image-opts", &options])
        .run()
        .with(&["1 MiB"]);
}
