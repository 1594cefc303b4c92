//! Other people's clients, through the gateway to servers with and without TLS.

use std::path::Path;

use super::support::{gateway, run, vsftpd};
use crate::house::House;

const CURL: (&str, &str) = ("curl", "curl");
const PYTHON: (&str, &str) = ("python3", "python3");
const LFTP: (&str, &str) = ("lftp", "lftp");

/// curl on this path, everything inside TLS and verified.
async fn curl(house: &House, port: u16, user: &str, path: &str, more: &[&str]) -> String {
    let (url, root) = (format!("ftp://localhost:{port}/{path}"), house.root.to_str().unwrap());
    let args =
        ["-q", "-sS", "--ipv4", "--ssl-reqd", "--max-time", "30", "--cacert", root, "--user", user, &url];
    run(CURL, args.iter().chain(more)).await
}

/// Python's client lists, uploads, downloads, and says goodbye.
async fn python(house: &House, port: u16, (user, password): (&str, &str), folder: &str) {
    let script = "
import ftplib, io, ssl, sys
root, port, user, password, folder = sys.argv[1:]
ftp = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=root))
ftp.connect('localhost', int(port), timeout=20)
ftp.login(user, password)
ftp.prot_p()
for round in range(5):
    ftp.storbinary('STOR ' + folder + 'python', io.BytesIO(b'x' * 300000))
    got = []
    ftp.retrbinary('RETR ' + folder + 'python', got.append)
    assert b''.join(got) == b'x' * 300000
assert ftp.size(folder + 'python') == 300000
assert any(name.endswith('python') for name in ftp.nlst(folder))
ftp.delete(folder + 'python')
ftp.quit()";
    let (root, port) = (house.root.to_str().unwrap(), port.to_string());
    run(PYTHON, ["-c", script, root, &port, user, password, folder]).await;
}

async fn lftp(house: &House, port: u16, login: &str, folder: &str, file: &Path) {
    let script = format!(
        "set ftp:ssl-force true; set ftp:ssl-protect-data true; set ssl:verify-certificate true; \
         set ssl:ca-file {}; set net:max-retries 1; set net:timeout 20; set dns:order inet; \
         open -u {login} -p {port} ftp://localhost; put -O /{folder} {}; cls /{folder}; cat /{folder}lftp.txt; quit",
        house.root.display(),
        file.display(),
    );
    let said = run(LFTP, ["--norc", "-c", &script]).await;
    assert!(said.contains("lftp.txt") && said.contains("from lftp\n"), "{said}");
}

/// Everything that the three do, in a folder that may be written to.
async fn all(house: &House, port: u16, (user, password): (&str, &str), folder: &str) {
    let login = format!("{user}:{password}");
    let file = house.root.with_file_name("lftp.txt");
    std::fs::write(&file, "from lftp\n").unwrap();
    let path = file.to_str().unwrap();
    for (mode, name) in [("--ftp-pasv", "epsv.txt"), ("--disable-epsv", "pasv.txt")] {
        let target = format!("{folder}{name}");
        curl(house, port, &login, &target, &[mode, "-T", path]).await;
        assert_eq!(curl(house, port, &login, &target, &[mode]).await, "from lftp\n");
        assert!(curl(house, port, &login, folder, &[mode]).await.contains(name));
    }
    lftp(house, port, &format!("{user},{password}"), folder, &file).await;
    python(house, port, (user, password), folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls() {
    let house = House::new();
    let backend = format!("ftp://{}", house.cleartext.address("ftp").unwrap());
    let gateway = gateway(&house, &backend, None, "");
    all(&house, gateway.address.port(), (house.cleartext.user(), house.cleartext.password()), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vsftpd_without_tls() {
    let house = House::new();
    let (_server, gateway) = vsftpd(&house, false);
    all(&house, gateway.address.port(), ("anonymous", "me"), "incoming/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vsftpd_that_wants_tls_resumed() {
    let house = House::new();
    let (_server, gateway) = vsftpd(&house, true);
    all(&house, gateway.address.port(), ("anonymous", "me"), "incoming/").await;
}
