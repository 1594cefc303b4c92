//! Checks before the first connection that servers can see who connects, and that the network lets the connections out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use starttls_dns::{DialPolicy, DnsName, DnsQuestion, MxTarget, Permitted, RecordData, RecordType, Stub};
use tokio::net::{TcpSocket, UdpSocket};

use crate::error::SurveyError;

/// Checks that the client's name resolves to each address of the connections, and each address back to the name. Servers treat
/// a client without both as a source of spam, and their operators cannot find out who connects.
///
/// Without a chosen source these are the addresses that the system uses, one of each family that has a route to the Internet.
///
/// # Errors
/// [`SurveyError::Anonymous`] if one of them is missing.
pub async fn check_identity(
    stub: &Stub,
    client_name: &str,
    source: Option<IpAddr>,
) -> Result<(), SurveyError> {
    let anonymous = |why: String| SurveyError::Anonymous(why);
    let name: DnsName = client_name.parse().map_err(|_| {
        anonymous(format!("the client name \"{}\" is not a host name", client_name.escape_debug()))
    })?;
    let sources = match source {
        Some(source) => vec![source],
        None => usual_sources().await,
    };
    if sources.is_empty() {
        let why = "this machine has no route to the Internet, so its address is unknown";
        return Err(anonymous(String::from(why)));
    }
    for source in sources {
        check_source(stub, &name, source).await.map_err(anonymous)?;
    }
    Ok(())
}

async fn check_source(stub: &Stub, name: &DnsName, source: IpAddr) -> Result<(), String> {
    let record = if source.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
    let forward = stub.ask(&DnsQuestion { name: name.clone(), record }).await;
    if !forward.records().contains(&RecordData::Address(source)) {
        return Err(format!("the client name {name} does not resolve to the source address {source}"));
    }
    let reverse = reverse_name(source).ok_or_else(|| format!("{source} has no reverse name"))?;
    let back = stub.ask(&DnsQuestion { name: reverse, record: RecordType::Ptr }).await;
    if !back.records().contains(&RecordData::Name(name.clone())) {
        return Err(format!("the source address {source} does not resolve back to the client name {name}"));
    }
    Ok(())
}

/// Returns the addresses that the system uses for connections to the Internet. No packet is sent.
async fn usual_sources() -> Vec<IpAddr> {
    let mut sources = Vec::new();
    // Addresses of a public DNS service: any public address leads to the default route.
    for (any, public) in [("0.0.0.0:0", "9.9.9.9:53"), ("[::]:0", "[2620:fe::fe]:53")] {
        let Ok(socket) = UdpSocket::bind(any).await else { continue };
        if socket.connect(public).await.is_ok() {
            sources.extend(socket.local_addr().ok().map(|it| it.ip()));
        }
    }
    sources
}

/// Returns the name that has the PTR record of an address (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse_name(address: IpAddr) -> Option<DnsName> {
    let name = match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().map(|it| format!("{:x}.{:x}.", it & 15, it >> 4));
            format!("{}ip6.arpa", nibbles.collect::<String>())
        }
    };
    name.parse().ok()
}

/// Connects to the exchangers of a host that should be reachable, to find out whether the network lets the port out.
///
/// # Errors
/// [`SurveyError::NoWayOut`] if none of them can be reached.
pub async fn check_way_out(
    stub: &Stub,
    host: &str,
    port: u16,
    source: Option<IpAddr>,
    policy: &DialPolicy,
    limit: Duration,
) -> Result<(), SurveyError> {
    let mut tried = Vec::new();
    for address in addresses(stub, host).await {
        let Ok(permitted) = Permitted::new(SocketAddr::new(address, port), policy) else { continue };
        match tokio::time::timeout(limit, connect(permitted, source)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => tried.push(format!("{}: {error}", permitted.address())),
            Err(_) => tried.push(format!("{}: timed out", permitted.address())),
        }
    }
    let why = if tried.is_empty() {
        String::from("it has no address that may be dialed")
    } else {
        tried.join("; ")
    };
    let host = host.escape_debug();
    Err(SurveyError::NoWayOut(format!("no connection to port {port} of the canary {host} ({why})")))
}

async fn connect(to: Permitted, source: Option<IpAddr>) -> std::io::Result<()> {
    let socket = if to.address().is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source.filter(|it| it.is_ipv4() == to.address().is_ipv4()) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(to.address()).await.map(drop)
}

/// Returns the addresses of a domain's preferred exchangers, or those of a host.
async fn addresses(stub: &Stub, host: &str) -> Vec<IpAddr> {
    // An address can be read as a name, too.
    if let Ok(address) = host.parse() {
        return vec![address];
    }
    let Ok(name) = host.parse::<DnsName>() else { return Vec::new() };
    let answer = stub.ask(&DnsQuestion { name: name.clone(), record: RecordType::Mx }).await;
    let hosts = answer.records().iter().filter_map(|record| match record {
        RecordData::Mx(mx) => match &mx.target {
            MxTarget::Host(host) => Some(host.clone()),
            _ => None,
        },
        _ => None,
    });
    let mut hosts: Vec<_> = hosts.take(3).collect();
    if hosts.is_empty() {
        hosts.push(name);
    }
    let mut found = Vec::new();
    for host in hosts {
        for record in [RecordType::A, RecordType::Aaaa] {
            let answer = stub.ask(&DnsQuestion { name: host.clone(), record }).await;
            found.extend(answer.records().iter().filter_map(|it| match it {
                RecordData::Address(address) => Some(*address),
                _ => None,
            }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_reverse_names() {
        let name = |address: &str| reverse_name(address.parse().unwrap()).unwrap().to_string();
        assert_eq!(name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        let v6 = name("2001:db8::1");
        assert!(v6.starts_with("1.0.0.0.") && v6.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"), "{v6}");
    }
}
