//! XMPP between clients and servers, and between servers.

use crate::client::client;
use crate::real_backend::{Backend, Talk, TlsMode, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "Slixmpp sends itself a message by Prosody", protocol: "xmpp", talk: slixmpp },
    Talk {
        name: "openssl s_client opens a server's stream to Prosody",
        protocol: "xmpp-server",
        talk: s_client,
    },
];

const SLIXMPP: &str = "
import asyncio, sys, slixmpp
ca, port, user, password = sys.argv[1:]
class Bot(slixmpp.ClientXMPP):
    async def start(self, _):
        self.send_presence()
        await self.get_roster()
        self.send_message(mto=self.boundjid.full, mbody='<starttls/> ' + 'x' * 100000, mtype='chat')
    def heard(self, message):
        assert message['body'] == '<starttls/> ' + 'x' * 100000
        print('heard')
        self.disconnect()
    def failed(self, why):
        print('failed', why)
        self.abort()
bot = Bot(user, password)
bot.ca_certs = ca
bot.add_event_handler('session_start', bot.start)
bot.add_event_handler('message', bot.heard)
bot.add_event_handler('failed_auth', bot.failed)
bot.add_event_handler('ssl_invalid_cert', bot.failed)
bot.connect(('127.0.0.1', int(port)))
bot.loop.run_until_complete(asyncio.wait_for(bot.disconnected, 20))
";

fn slixmpp(visit: &Visit<'_>) {
    sends(visit, visit.user(), visit.password());
}

fn sends(visit: &Visit<'_>, user: &str, password: &str) {
    // The Python of Debian, for which the package is installed.
    client("/usr/bin/python3", "python3-slixmpp")
        .args(["-W", "ignore", "-I", "-c", SLIXMPP])
        .args([&visit.ca_file])
        .args([&visit.port.to_string(), user, password])
        .run()
        .with(&["heard"]);
}

fn s_client(visit: &Visit<'_>) {
    let name = &visit.endpoint.server_name;
    let input = format!(
        "<stream:stream from='a.example.test' to='{name}' version='1.0' xmlns='jabber:server' \
         xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    let said = visit.s_client(input + "</stream:stream>").args(["-xmpphost", name]).run();
    said.with(&["<stream:features>", "</stream:stream>"]);
    assert!(!said.out.contains("<starttls"), "{}", said.out);
}

/// One port serves two domains with a server each. The `to` of the client's stream selects the server.
#[test]
fn two_domains_on_one_port() {
    for tls_mode in [TlsMode::Cleartext, TlsMode::Upgraded] {
        let [first, second] = [(); 2].map(|()| Backend::start("prosody", tls_mode));
        let [here, there] = [&first, &second].map(|it| it.running.endpoint("xmpp").unwrap());
        let routes = format!(
            "[[listener.route]]\nnames = [\"xmpp.example.test\"]\nforward = {}\n\
             [[listener.route]]\nnames = [\"other.example.test\"]\nforward = {}\n",
            first.forward(here),
            second.forward(there)
        );
        let visit = Visit::by(&first, here, &routes);
        for (name, server) in [("xmpp.example.test", &first), ("other.example.test", &second)] {
            sends(&visit, &format!("test@{name}"), &server.running.password);
            let ended = visit.ended();
            assert_eq!((ended.server_name.as_deref(), ended.failure), (Some(name), None));
        }
    }
}
