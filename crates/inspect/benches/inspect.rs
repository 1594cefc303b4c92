//! What an inspection costs, beside other tools on the same files, and how much memory it needs.
//!
//! Prints one line for each row of the tables in `docs/benchmarks.md`. `cargo xtask bench inspect` runs it.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "the lines are its result")]

#[path = "../tests/it/packets.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod packets;
#[path = "../tests/it/vector.rs"]
mod vector;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use packets::{Tcp, connection, ethernet, handshake, ipv4};
use starttls_inspect::{CaptureReader, CapturedPacket, InspectLimits, Inspector, ReportLine, SCHEMA_VERSION};
use starttls_proto::Side;
use vector::Vector;

/// The connections of the file with negotiations, and how many of them are open at the same time.
const CONNECTIONS: usize = 4000;
const INTERLEAVED: usize = 64;
/// The octets of the upgraded connection with much data.
const BULK: usize = 64 << 20;
const RUNS: usize = 3;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "read", path, ..] => read(Path::new(path)),
        [_, "sealed", ..] => sealed(),
        [_, "flood", ..] => flood(),
        _ => measure(),
    }
}

/// Inspects a file as the command does with `--format json`.
fn read(path: &Path) {
    let mut reader = CaptureReader::new(File::open(path).unwrap());
    let mut inspector = Inspector::new(InspectLimits::default());
    let mut out = BufWriter::new(std::io::sink());
    let mut report = |inspector: &mut Inspector| {
        for connection in &inspector.take_finished() {
            let line = ReportLine::Connection { schema_version: SCHEMA_VERSION, connection };
            out.write_all(line.to_json().unwrap().as_bytes()).unwrap();
        }
    };
    while let Some(packet) = reader.next_packet().unwrap() {
        inspector.packet(&packet);
        report(&mut inspector);
    }
    inspector.finish();
    report(&mut inspector);
}

/// A million connections that stay open inside TLS.
fn sealed() {
    let mut turns = vec![(Side::Server, b"220 mail.example.com\r\n".to_vec())];
    turns.push((Side::Client, b"STARTTLS\r\n".to_vec()));
    turns.push((Side::Server, b"220 go\r\n".to_vec()));
    turns.extend(handshake());
    let segments = connection(&turns, [1, 2], 1448);
    let open = &segments[..segments.len() - 3];
    let mut inspector = Inspector::new(InspectLimits::default());
    for number in 0..1_000_000_u32 {
        for segment in open {
            let packet = numbered(ipv4(segment, 25, 64), segment.from, number);
            let time = u64::from(number);
            inspector.packet(&CapturedPacket { time, link: 101, sent: packet.len() as u32, data: &packet });
            inspector.take_finished();
        }
    }
    println!("{}\t{}", inspector.memory() >> 20, inspector.summary().evicted);
}

/// Ten million SYNs of other clients, without an answer.
fn flood() {
    let segment = Tcp { from: Side::Client, seq: 1, ack: 0, flags: packets::SYN, payload: Vec::new() };
    let mut inspector = Inspector::new(InspectLimits::default());
    for number in 0..10_000_000_u32 {
        let packet = numbered(ipv4(&segment, 25, 64), Side::Client, number);
        let time = u64::from(number) * 1000;
        inspector.packet(&CapturedPacket { time, link: 101, sent: packet.len() as u32, data: &packet });
        inspector.take_finished();
    }
    println!("{}\t{}", inspector.memory() >> 20, inspector.summary().evicted);
}

/// Gives the client of an IPv4 packet the address and port of this number.
fn numbered(mut packet: Vec<u8>, from: Side, number: u32) -> Vec<u8> {
    let (address, port) = if from == Side::Client { (12, 20) } else { (16, 22) };
    packet[address..address + 4].copy_from_slice(&(0x0a00_0000 + number / 40_000).to_be_bytes());
    packet[port..port + 2].copy_from_slice(&(20_000 + (number % 40_000) as u16).to_be_bytes());
    packet
}

/// Writes a capture and returns the number of its packets.
fn write(path: &Path, packets: impl Iterator<Item = Vec<u8>>) -> u64 {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&packets::pcap(1, &[])).unwrap();
    let mut count = 0_u32;
    for packet in packets {
        let len = packet.len() as u32;
        for field in [1_700_000_000 + count / 100_000, count % 100_000 * 10, len, len] {
            file.write_all(&field.to_le_bytes()).unwrap();
        }
        file.write_all(&packet).unwrap();
        count += 1;
    }
    file.flush().unwrap();
    u64::from(count)
}

/// Returns the frames of this many upgrades, in segments of at most this many octets, several connections interleaved.
fn negotiations(connections: usize, segment: usize) -> impl Iterator<Item = Vec<u8>> {
    let vectors: Vec<Vector> = Vector::all()
        .into_iter()
        .filter(|it| it.result() == "upgrade" && it.is_for_observers() && it.header("bench").is_none())
        .collect();
    (0..connections).step_by(INTERLEAVED).flat_map(move |start| {
        let mut open: Vec<_> = (start..connections.min(start + INTERLEAVED))
            .map(|number| {
                let vector = &vectors[number % vectors.len()];
                let turns = [vector.conversation(), handshake()].concat();
                let segments = connection(&turns, [1000, 2000], segment);
                (number as u32, vector.protocol.port, segments.into_iter())
            })
            .collect();
        let mut frames = Vec::new();
        while !open.is_empty() {
            open.retain_mut(|(number, port, segments)| {
                let Some(segment) = segments.next() else { return false };
                frames.push(ethernet(0x0800, &numbered(ipv4(&segment, *port, 64), segment.from, *number)));
                true
            });
        }
        frames
    })
}

/// Returns the frames of one upgraded connection with much data inside TLS.
fn bulk() -> impl Iterator<Item = Vec<u8>> {
    let record = [&[23, 3, 3, 0x40, 0][..], &vec![0xa5; 0x4000]].concat();
    let data: Vec<u8> = record.repeat(BULK / record.len());
    let mut turns = vec![(Side::Server, b"220 mail.example.com\r\n".to_vec())];
    turns.push((Side::Client, b"STARTTLS\r\n".to_vec()));
    turns.push((Side::Server, b"220 go\r\n".to_vec()));
    turns.extend(handshake());
    turns.push((Side::Server, data));
    connection(&turns, [1, 2], 1448).into_iter().map(|it| ethernet(0x0800, &ipv4(&it, 25, 64)))
}

fn measure() {
    let folder = std::env::temp_dir().join(format!("starttls-inspect-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    let packets = write(&path("negotiations.pcap"), negotiations(CONNECTIONS, 1448));
    write(&path("twice.pcap"), negotiations(2 * CONNECTIONS, 1448));
    let octets = write(&path("octets.pcap"), negotiations(CONNECTIONS / 40, 1));
    let bulk_packets = write(&path("bulk.pcap"), bulk());
    for (file, packets) in [("negotiations.pcap", packets), ("bulk.pcap", bulk_packets)] {
        beside(&path(file), packets, &folder);
    }
    let own = |name: &str| least(|| own("read", &path(name))).cpu;
    let (once, twice) = (own("negotiations.pcap"), own("twice.pcap"));
    let single = own("octets.pcap") / octets as f64 / (once / packets as f64);
    println!("inspect-bound\ttwice the connections\t{:.2} times the CPU\t2.2", twice / once);
    println!("inspect-bound\tone octet a segment\t{single:.2} times the CPU of a packet\t8");
    for (mode, what, limit) in [
        ("sealed", "1,000,000 open connections inside TLS", "300 MiB"),
        ("flood", "10,000,000 SYNs without an answer", "256 MiB and the program"),
    ] {
        let cost = own_output(mode);
        println!("inspect-bound\t{what}\t{} MiB resident, {}\t{limit}", cost.0.memory >> 10, cost.1);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Measures every tool on a file.
fn beside(file: &Path, packets: u64, folder: &Path) {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let size = std::fs::metadata(file).unwrap().len() as f64;
    let ours = least(|| own("read", file));
    let path = file.to_str().unwrap();
    let out = folder.join("flows");
    let tools: [(&str, &[&str]); 4] = [
        (
            "tshark",
            &["-n", "-r", path, "-Y", "tls.handshake.type==1", "-T", "fields", "-e", "tls.handshake.ja3"],
        ),
        ("tshark", &["-n", "-q", "-z", "conv,tcp", "-r", path]),
        ("tcpflow", &["-r", path, "-o", out.to_str().unwrap()]),
        ("ndpiReader", &["-q", "-i", path]),
    ];
    let row = |tool: &str, cost: &Cost| {
        println!(
            "inspect\t{name}\t{tool}\t{:.2}\t{:.0}\t{:.2}\t{}\t{:.1}",
            cost.cpu,
            cost.cpu * 1e9 / packets as f64,
            size / cost.cpu / (1 << 30) as f64,
            cost.memory >> 10,
            cost.cpu / ours.cpu
        );
    };
    row("inspect (JSON)", &ours);
    for (tool, args) in tools {
        let shown = [&[tool], args].concat();
        let shown: Vec<&str> = shown.into_iter().filter(|it| *it != path && !it.starts_with('/')).collect();
        let installed = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
        if !installed.status.success() {
            println!("inspect\t{name}\t{tool}\tnot installed");
            continue;
        }
        let cost = least(|| {
            let cost = run(Command::new(tool).args(args).stdout(Stdio::null()));
            let _ = std::fs::remove_dir_all(&out);
            cost
        });
        row(&shown.join(" ").replace('|', " "), &cost);
    }
}

/// The cost of a process.
#[derive(Clone, Copy)]
struct Cost {
    /// CPU time in seconds, of the user and the system.
    cpu: f64,
    /// The most resident memory, in KiB.
    memory: u64,
}

fn least(mut measure: impl FnMut() -> Cost) -> Cost {
    let costs: Vec<Cost> = (0..RUNS).map(|_| measure()).collect();
    costs.into_iter().min_by(|one, other| one.cpu.total_cmp(&other.cpu)).unwrap()
}

fn own(mode: &str, file: &Path) -> Cost {
    run(Command::new(std::env::current_exe().unwrap()).arg(mode).arg(file).stdout(Stdio::null()))
}

/// Runs a mode of this program that reports its memory. Returns the cost, and what it reports.
fn own_output(mode: &str) -> (Cost, String) {
    let log = std::env::temp_dir().join(format!("starttls-inspect-{mode}-{}", std::process::id()));
    let file = File::create(&log).unwrap();
    let cost = run(Command::new(std::env::current_exe().unwrap()).arg(mode).stdout(file));
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let (counted, evicted) = text.trim().split_once('\t').unwrap();
    (cost, format!("{counted} MiB counted, {evicted} evicted"))
}

/// Runs a command to its end. No other child runs meanwhile.
fn run(command: &mut Command) -> Cost {
    let total = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        let seconds = |it: nix::sys::time::TimeVal| it.tv_sec() as f64 + it.tv_usec() as f64 / 1e6;
        seconds(usage.user_time()) + seconds(usage.system_time())
    };
    let before = total();
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (status, mut memory) = (format!("/proc/{}/status", child.id()), 0);
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        memory = memory.max(peak.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    Cost { cpu: total() - before, memory }
}
