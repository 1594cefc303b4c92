//! A restart of the gateway on a socket that the service manager keeps open.

use std::fs::Permissions;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use starttls_lab::CleartextServers;
use starttls_lab::ca::{Authority, Leaf};

use crate::support::process::{DEADLINE, Live};
use crate::support::starttls;

/// Acts as a service manager: it opens a socket once and starts the service with it for each line of its input.
const MANAGER: &str = "import ctypes, os, socket, sys
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
for start, line in enumerate(sys.stdin):
    service = os.fork()
    if service == 0:
        # Nobody is left behind when the test fails (PR_SET_PDEATHSIG).
        ctypes.CDLL(None).prctl(1, 9)
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='mail')
        os.execv(sys.argv[1], sys.argv[1:])
    print(f'start {start} is {service}.', flush=True)
    print(f'start {start} ended with {os.waitstatus_to_exitcode(os.waitpid(service, 0)[1])}.', flush=True)
";

fn greeting(client: &mut TcpStream) -> String {
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut heard = [0; 4];
    client.read_exact(&mut heard).unwrap();
    String::from_utf8_lossy(&heard).into_owned()
}

#[test]
fn clients_wait_where_the_service_manager_keeps_the_socket() {
    let (cleartext, dir) = (CleartextServers::start().unwrap(), tempfile::tempdir().unwrap());
    let own = Authority::new().unwrap().issue(&Leaf::named("localhost")).unwrap();
    let (certificate, key) = own.write_to(dir.path(), "own").unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let backend = format!("imap://{}", cleartext.address("imap").unwrap());
    let mut gateway = starttls(["gateway", "imap+starttls://systemd:mail", &backend, "--cert"]);
    gateway.arg(certificate).arg("--key").arg(key);
    let mut manager = Command::new("python3");
    manager.args(["-c", MANAGER]).arg(gateway.get_program()).args(gateway.get_args());
    let mut live = Live::start(&mut manager);
    live.hears("\n");
    let port: u16 = live.stdout().trim().parse().unwrap();
    for round in 0..3 {
        // The client connects while no gateway is running.
        let mut waiting = TcpStream::connect(("127.0.0.1", port)).unwrap();
        live.say(b"start\n");
        assert_eq!(greeting(&mut waiting), "* OK", "round {round}");
        drop(waiting);
        assert_eq!(greeting(&mut TcpStream::connect(("127.0.0.1", port)).unwrap()), "* OK");
        let start = format!("start {round} is ");
        let (_, service) = live.hears(&start).stdout().split_once(&start).unwrap();
        let service = service.split_once('.').unwrap().0.parse().unwrap();
        kill(Pid::from_raw(service), Signal::SIGTERM).unwrap();
        live.hears(&format!("start {round} ended with 0.\n"));
    }
    live.hang_up();
    live.end().exits(0);
}
