//! What `survey` checks before its first connection: the surveyor's name, and the way out.

use std::net::TcpStream;
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::support::{Run, starttls};
use crate::survey::{CLIENT_NAME, Simulation, finish};

/// Returns `survey run` for networks of others, from the loopback address.
fn survey(simulation: &Simulation, name: &str, more: &[&str]) -> Run {
    let mut command = starttls(["survey", "run"]);
    command.arg(simulation.out("domains.txt")).arg("--out").arg(simulation.out(name));
    command.args(["--client-name", name, "--source", "127.0.0.1", "--timeout", "10s"]);
    command.args(["--resolver", &simulation.internet.resolver.to_string()]).args(more);
    Run::of(&mut command)
}

#[test]
fn a_surveyor_without_a_name_does_not_start() {
    let simulation = Simulation::new(10, 40);
    let contact = ["--contact", "https://probe.sim.test/survey"];
    survey(&simulation, CLIENT_NAME, &contact)
        .exits(2)
        .says("the client name probe.sim.test does not resolve to the source address 127.0.0.1")
        .says("hint: set the A or AAAA record and the PTR record of this machine");
    survey(&simulation, "stranger.sim.test", &contact)
        .exits(2)
        .says("the source address 127.0.0.1 does not resolve back to the client name stranger.sim.test");
    survey(&simulation, "surveyor.sim.test", &[]).exits(2).says("--contact <URL>");
    survey(&simulation, "surveyor.sim.test", &["--contact", "mailto:probe@sim.test"])
        .exits(2)
        .says("expected the URL of a page");
    // The name is right, so the way out is next. The simulation's addresses are not public.
    survey(&simulation, "surveyor.sim.test", &contact)
        .exits(3)
        .says("no connection to port 25 of the canary probe.sim.test (it has no address that may be dialed)");
    assert_eq!(simulation.internet.referee.connections(), 0);
}

#[test]
fn a_network_that_lets_the_port_not_out_is_noticed_before_the_first_endpoint() {
    let simulation = Simulation::new(100, 60);
    // A port that is taken, and on which no program listens.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = closed.local_addr().unwrap().port().to_string();
    let more = ["--port", &port, "--canary", "127.0.0.1"];
    let run = Run::of(&mut simulation.command("run", "a", &more)).exits(3);
    let why =
        format!("no connection to port {port} of the canary 127.0.0.1 (127.0.0.1:{port}: Connection refused");
    run.says(&why).says("hint: ask your provider to open the port");

    // A firewall answers nothing: neither does the system, when the queue of a listener is full.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(async {
        let full = TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        full.listen(1).unwrap()
    });
    let address = listener.local_addr().unwrap();
    let waits = Duration::from_millis(500);
    let queued: Vec<_> = (0..8).map_while(|_| TcpStream::connect_timeout(&address, waits).ok()).collect();
    assert!(queued.len() < 8, "the queue is never full");
    let port = address.port().to_string();
    let more = ["--port", &port, "--canary", "127.0.0.1", "--timeout", "2s"];
    let run = Run::of(&mut simulation.command("run", "b", &more)).exits(3);
    run.says(&format!("no connection to port {port} of the canary 127.0.0.1 (127.0.0.1:{port}: timed out)"));

    assert_eq!(simulation.internet.referee.connections(), 0);
    for out in ["a", "b"] {
        let results = std::fs::read_dir(simulation.out(out).join("results/probe-1")).unwrap();
        assert_eq!(results.count(), 0);
    }
    // The same survey goes on where the port is open. A domain stands for its exchangers.
    finish(&mut simulation.command("run", "c", &["--canary", "d0.test", "--probe", "offer"]));
    assert!(simulation.internet.referee.connections() > 0);
}
