//! After the go-ahead, anything but a ClientHello: the connection has to end there.

use std::time::Duration;

use starttls::proto::ClientMessage;

use super::answers::{harmless, shown, signature};
use crate::dialogue::{Dialogue, Stop};
use crate::draft::{Draft, Seen};
use crate::plan::Plan;
use crate::words::{begins, is_final};

/// A fatal alert, handshake_failure, as a client sends it that cannot go on (RFC 8446 section 6.2).
const ALERT: &[u8] = b"\x15\x03\x01\x00\x02\x02\x28";

/// How long a server may take to answer in cleartext when it should not.
const LISTEN: Duration = Duration::from_millis(700);

/// Cleartext, and an alert with cleartext behind it, where the ClientHello belongs.
pub(crate) async fn probe(plan: &Plan, usual: Option<&str>) -> Seen {
    let id = "srv-hs-fallback";
    let mut seen = Seen::default();
    let (mut worst, mut untold, mut ends) = (None, None, String::new());
    for (purpose, first) in [
        ("cleartext instead of a ClientHello", b"".as_slice()),
        ("an alert instead of a ClientHello, then cleartext", ALERT),
    ] {
        let _place = plan.place().await;
        let mut dialogue = match plan.open(purpose).await {
            Ok(dialogue) => dialogue,
            Err((stop, record)) => {
                seen.record(record);
                untold = Some(Draft::untold(id, &stop));
                continue;
            }
        };
        let heard = fall_back(plan, &mut dialogue, first).await;
        let all = dialogue.record.all();
        let at = seen.record(dialogue.record);
        match heard {
            Ok(heard) if heard.starts_with(&[0x15]) || heard.is_empty() => {
                ends = String::from("the connection ends")
            }
            Ok(heard) => {
                let text = shown(plan.protocol, &heard);
                let serves =
                    begins(&text, plan.words.served) || usual.is_some_and(|usual| signature(&text) == usual);
                let serves = serves && !is_final(&text);
                let text = text.get(..100).unwrap_or(&text);
                if serves {
                    let why =
                        format!("after a handshake that failed the server goes on in cleartext: \"{text}\"");
                    worst = Some(Draft::fail(id, why).at(at, all));
                } else {
                    ends = format!("the server says \"{text}\" and serves nothing");
                }
            }
            Err(stop) => untold = Some(Draft::untold(id, &stop).at(at, all)),
        }
    }
    seen.push(
        worst.or(untold).unwrap_or_else(|| Draft::pass(id, format!("after a handshake that fails, {ends}"))),
    );
    seen
}

async fn fall_back(plan: &Plan, dialogue: &mut Dialogue, first: &[u8]) -> Result<Vec<u8>, Stop> {
    agreed(dialogue).await?;
    let words = harmless(plan, &mut |message| dialogue.words(message));
    dialogue.send(&[first, &words].concat()).await?;
    let heard = dialogue.listen(LISTEN).await;
    // The alert that ends the handshake is as it should be; what comes behind it is not.
    let alert = heard.first() == Some(&0x15);
    let length = heard.get(3..5).map_or(0, |it| usize::from(it[0]) * 256 + usize::from(it[1]));
    Ok(if alert { heard.get(5 + length..).unwrap_or_default().to_vec() } else { heard })
}

/// The upgrade up to the go-ahead.
pub(super) async fn agreed(dialogue: &mut Dialogue) -> Result<(), Stop> {
    dialogue.open_up().await?;
    dialogue.write(ClientMessage::Request).await?;
    match dialogue.verdict().await? {
        Ok(()) => Ok(()),
        Err(_) => Err(Stop::Closed("the go-ahead")),
    }
}
