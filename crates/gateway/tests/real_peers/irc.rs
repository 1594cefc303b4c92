//! IRC.

use crate::house::{Talk, Visit};

pub(crate) const TALKS: &[Talk] =
    &[Talk { name: "openssl s_client joins a channel of InspIRCd's", protocol: "irc", talk: s_client }];

fn s_client(visit: &Visit<'_>) {
    let input = format!(
        "CAP LS 302\nPASS {}\nNICK me\nUSER me 0 * :Me\nCAP END\nJOIN #lab\nPRIVMSG me :STARTTLS :x\nPING :y\nQUIT\n",
        visit.password()
    );
    let said = visit.s_client(input).args(["-crlf"]).run();
    said.with(&[" 001 me ", "JOIN :#lab", "PRIVMSG me :STARTTLS :x", "PONG ", "ERROR "]);
}
