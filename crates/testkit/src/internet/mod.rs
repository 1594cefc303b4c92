//! A simulated Internet on 127.0.0.0/8: mail servers at many addresses, which share one listener, and the DNS that names them.
//!
//! What a server does depends on its address alone, and what a domain has depends on its number, so a test knows the right
//! result for each. The [`Referee`] is on the side of the servers: it records when which address was connected to.

mod behavior;
mod dns;
mod referee;
mod server;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

pub use behavior::{Behavior, expected_result};
pub use referee::{Excess, Referee};

/// A simulated Internet, which ends with the value.
#[derive(Debug)]
pub struct Internet {
    /// The port of all servers.
    pub port: u16,
    /// The address of the resolver.
    pub resolver: SocketAddr,
    /// The record of the connections.
    pub referee: Arc<Referee>,
    addresses: u32,
    folder: TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Internet {
    /// Starts the servers. `addresses` is the number of addresses that have servers.
    ///
    /// # Errors
    /// If a socket or a certificate cannot be made.
    pub fn start(addresses: u32) -> io::Result<Self> {
        Self::start_with(addresses, Behavior::of)
    }

    /// Starts servers that do what a function of their address returns.
    ///
    /// # Errors
    /// If a socket or a certificate cannot be made.
    pub fn start_with(addresses: u32, behavior: fn(IpAddr) -> Behavior) -> io::Result<Self> {
        let listener = TcpListener::bind("0.0.0.0:0")?;
        let port = listener.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let servers = server::Servers::new(folder.path())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let referee = Arc::new(Referee::start(runtime.handle())?);
        server::listen(listener, servers, behavior, Arc::clone(&referee), runtime.handle().clone())?;
        let resolver = dns::serve(addresses)?;
        Ok(Self { port, resolver, addresses, referee, folder, _runtime: runtime })
    }

    /// Returns the file with the root certificate of the sound servers.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join(server::CA_FILE)
    }

    /// Returns domains with one server each, at an address that no other of them has. There are at most this many.
    pub fn servers(&self, most: usize) -> Vec<(String, Ipv4Addr)> {
        let mut taken = BTreeSet::new();
        let numbers = (0..self.addresses.saturating_mul(20)).filter(|it| dns::has_own_server(*it));
        let servers = numbers.map(|it| (format!("d{it}.test"), dns::own_address(it, self.addresses)));
        servers.filter(|(_, address)| taken.insert(*address)).take(most).collect()
    }

    /// Writes a list of domains, `d0.test` and so on.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_domains(path: &Path, count: u32) -> io::Result<()> {
        let mut list = io::BufWriter::new(std::fs::File::create(path)?);
        for number in 0..count {
            io::Write::write_fmt(&mut list, format_args!("d{number}.test\n"))?;
        }
        io::Write::flush(&mut list)
    }
}

/// Returns the address with this index. Neighbors are in different /16 networks.
fn address(index: u32) -> Ipv4Addr {
    let [network, subnet, host] = [index % 250, index / 250 % 250, index / 62_500 % 250];
    let octet = |number: u32| u8::try_from(number + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, octet(network), octet(subnet), octet(host))
}

/// The number of addresses of the large providers, which come first.
const WHALE_ADDRESSES: u32 = 24;
const FIVE_ADDRESSES: u32 = 5;
const PROVIDER_ADDRESSES: u32 = WHALE_ADDRESSES + FIVE_ADDRESSES;

/// Returns the suffix of the large provider that an address belongs to.
pub fn provider(at: Ipv4Addr) -> Option<&'static str> {
    let index = (0..PROVIDER_ADDRESSES).find(|index| address(*index) == at)?;
    Some(if index < WHALE_ADDRESSES { "whale.test" } else { "five.test" })
}

/// Returns a number that looks random and depends on the input alone (SplitMix64).
fn mix(number: u64) -> u64 {
    let mut hash = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn mix_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => mix(u32::from(v4).into()),
        IpAddr::V6(v6) => mix(u128::from(v6) as u64),
    }
}
