//! curl, lftp and Python through the gateway, to servers with and without TLS.

use std::path::Path;

use super::support::{Session, gateway, run, vsftpd, vsftpd_behind};
use crate::environment::Environment;

const CURL: (&str, &str) = ("curl", "curl");
const PYTHON: (&str, &str) = ("python3", "python3");
const LFTP: (&str, &str) = ("lftp", "lftp");

/// Runs curl on this path with all connections inside verified TLS.
async fn curl(env: &Environment, port: u16, user: &str, path: &str, more: &[&str]) -> String {
    let (url, root) = (format!("ftp://localhost:{port}/{path}"), env.root.to_str().unwrap());
    let args =
        ["-q", "-sS", "--ipv4", "--ssl-reqd", "--max-time", "30", "--cacert", root, "--user", user, &url];
    run(CURL, args.iter().chain(more)).await
}

/// Python lists, uploads, downloads, and quits.
async fn python(env: &Environment, port: u16, (user, password): (&str, &str), folder: &str) {
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
    let (root, port) = (env.root.to_str().unwrap(), port.to_string());
    run(PYTHON, ["-c", script, root, &port, user, password, folder]).await;
}

async fn lftp(env: &Environment, port: u16, login: &str, folder: &str, file: &Path) {
    let script = format!(
        "set ftp:ssl-force true; set ftp:ssl-protect-data true; set ssl:verify-certificate true; \
         set ssl:ca-file {}; set net:max-retries 1; set net:timeout 20; set dns:order inet; \
         open -u {login} -p {port} ftp://localhost; put -O /{folder} {}; cls /{folder}; cat /{folder}lftp.txt; quit",
        env.root.display(),
        file.display(),
    );
    let said = run(LFTP, ["--norc", "-c", &script]).await;
    assert!(said.contains("lftp.txt") && said.contains("from lftp\n"), "{said}");
}

/// Runs all three clients in a writable folder.
async fn all(env: &Environment, port: u16, (user, password): (&str, &str), folder: &str) {
    let login = format!("{user}:{password}");
    let file = env.root.with_file_name("lftp.txt");
    std::fs::write(&file, "from lftp\n").unwrap();
    let path = file.to_str().unwrap();
    for (mode, name) in [("--ftp-pasv", "epsv.txt"), ("--disable-epsv", "pasv.txt")] {
        let target = format!("{folder}{name}");
        curl(env, port, &login, &target, &[mode, "-T", path]).await;
        assert_eq!(curl(env, port, &login, &target, &[mode]).await, "from lftp\n");
        assert!(curl(env, port, &login, folder, &[mode]).await.contains(name));
    }
    lftp(env, port, &format!("{user},{password}"), folder, &file).await;
    python(env, port, (user, password), folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls() {
    let env = Environment::new();
    let backend = format!("ftp://{}", env.cleartext.address("ftp").unwrap());
    let gateway = gateway(&env, &backend, None, "");
    all(&env, gateway.address.port(), (env.cleartext.user(), env.cleartext.password()), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vsftpd_without_tls() {
    let env = Environment::new();
    let (_server, gateway) = vsftpd(&env, false);
    all(&env, gateway.address.port(), ("anonymous", "me"), "incoming/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vsftpd_that_wants_tls_resumed() {
    let env = Environment::new();
    let (_server, gateway) = vsftpd(&env, true);
    all(&env, gateway.address.port(), ("anonymous", "me"), "incoming/").await;
}

/// A listener on IPv6 or on both families in front of a backend on IPv4: each leg uses its own form of the command.
#[tokio::test(flavor = "multi_thread")]
async fn families_of_addresses_need_not_agree() {
    let env = Environment::new();
    let (server, gateway) = vsftpd_behind(&env, true, "ftp+starttls://[::1]:0");
    std::fs::write(server.folder().join("pub/file"), "content").unwrap();
    let port = gateway.address.port();
    let to = format!("localhost:{port}:[::1]");
    let url = format!("ftp://localhost:{port}/file");
    let args = ["-q", "-sS", "--ssl-reqd", "--max-time", "30", "--cacert", env.root.to_str().unwrap()];
    assert_eq!(run(CURL, args.into_iter().chain(["--resolve", &to, &url])).await, "content");
    let mut session = Session::ready(&env, gateway.address, ("anonymous", "me")).await;
    session.expect("PASV", "522").await;
    session.expect("EPSV 1", "522").await;
    assert_eq!(session.retrieve("file").await, b"content");

    let (server, gateway) = vsftpd_behind(&env, false, "ftp+starttls://[::]:0");
    std::fs::write(server.folder().join("pub/file"), "content").unwrap();
    let port = gateway.address.port();
    assert_eq!(curl(&env, port, "ftp:me", "file", &["--disable-epsv"]).await, "content");
}

/// A client without TLS on this machine, and a server that requires TLS.
#[tokio::test(flavor = "multi_thread")]
async fn cleartext_toward_a_server_that_demands_tls() {
    let env = Environment::new();
    let (server, gateway) = vsftpd_behind(&env, true, "ftp://127.0.0.1:0");
    let file = env.root.with_file_name("file");
    std::fs::write(&file, "content").unwrap();
    let url = format!("ftp://{}/incoming/file", gateway.address);
    for mode in ["--ftp-pasv", "--disable-epsv"] {
        run(CURL, ["-q", "-sS", "--max-time", "30", mode, "-T", file.to_str().unwrap(), &url]).await;
        assert_eq!(run(CURL, ["-q", "-sS", "--max-time", "30", mode, &url]).await, "content");
    }
    assert_eq!(std::fs::read(server.folder().join("pub/incoming/file")).unwrap(), b"content");
    for (quote, answer) in [("*PBSZ 0", "< 503 "), ("*PROT P", "< 503 "), ("*AUTH TLS", "< 431 ")] {
        let args = ["-q", "-sS", "--max-time", "30", "-Q", quote, "-v", "--stderr", "-", &url];
        let said = run(CURL, args).await;
        assert!(said.contains(answer), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_from_the_first_byte() {
    let env = Environment::new();
    let (server, gateway) = vsftpd_behind(&env, true, "ftps://127.0.0.1:0");
    std::fs::write(server.folder().join("pub/file"), "content").unwrap();
    let url = format!("ftps://localhost:{}/file", gateway.address.port());
    let args = ["-q", "-sS", "--ipv4", "--max-time", "30", "--cacert", env.root.to_str().unwrap(), &url];
    assert_eq!(run(CURL, args).await, "content");
}
