//! Uploads and downloads of large files, compared by checksum.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::support::{run_for, vsftpd};
use crate::environment::Environment;

/// Limit for one transfer in a debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

/// Writes a file of `mib` MiB, no two of which are the same.
fn write(path: &Path, mib: usize) {
    let mut block: Vec<u8> = (0..1_u32 << 20).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let mut file = File::create(path).unwrap();
    for number in 0..mib as u64 {
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block).unwrap();
    }
}

async fn checksum(path: &Path) -> String {
    let said = run_for(LIMIT, ("sha256sum", "coreutils"), [path]).await;
    said.split(' ').next().unwrap().to_owned()
}

#[expect(clippy::print_stderr, reason = "the figures of a run by hand")]
async fn up_and_down(tls: bool, mib: usize) {
    let env = Environment::new();
    let (server, gateway) = vsftpd(&env, tls);
    let (up, down) = (env.root.with_file_name("up"), env.root.with_file_name("down"));
    write(&up, mib);
    let sum = checksum(&up).await;
    let url = format!("ftp://localhost:{}/incoming/file", gateway.address.port());
    for (direction, file) in [("-T", &up), ("-o", &down)] {
        let began = Instant::now();
        let args = ["-q", "-sS", "--ipv4", "--ssl-reqd", "--cacert", env.root.to_str().unwrap(), &url];
        run_for(LIMIT, ("curl", "curl"), args.into_iter().chain([direction, file.to_str().unwrap()])).await;
        eprintln!("{mib} MiB, TLS on the backend: {tls}, {direction}: {:?}", began.elapsed());
    }
    for file in [server.folder().join("pub/incoming/file"), down] {
        assert_eq!(checksum(&file).await, sum, "{}", file.display());
    }
    let ended = gateway.ended(2).await;
    assert_eq!(ended, ["ok", "ok"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn much_goes_up_and_down_in_clear_behind() {
    up_and_down(false, 256).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_goes_up_and_down_inside_tls_behind() {
    up_and_down(true, 256).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes, and 3 GiB on disk"]
async fn a_gibibyte_goes_up_and_down() {
    up_and_down(false, 1024).await;
    up_and_down(true, 1024).await;
}
