//! `--until ehlo`: what the server says before TLS.

use starttls::proto::{
    ClientMessage, Dialect, Identity, MessageReader, ReplyTo, ServerMessage, Side, TranscriptEntry,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Hop;
use crate::args::Send;
use crate::error::Failed;
use crate::exit;
use crate::session::Watch;

const CLEARTEXT: &str = "cleartext";

/// Greets, asks what there is, and leaves.
pub(super) async fn run(args: &Send, hop: &Hop, watch: &Watch) -> Result<(), Failed> {
    let connector = args.connector()?;
    let asking = async {
        let mut io = hop.dial.open(&connector).await?;
        let mut identity = Identity::new(args.peer.server_name(&hop.target.host.ascii));
        identity.client_name = args.client_name();
        let mut dialect = (hop.target.protocol.dialect)(identity);
        let mut heard = MessageReader::new(Side::Server);
        for (reply_to, message) in
            [(ReplyTo::Connect, ClientMessage::Hello), (ReplyTo::Hello, ClientMessage::Quit)]
        {
            let answer = answer(&mut io, &mut *dialect, reply_to, &mut heard).await?;
            watch.tell(&TranscriptEntry { from: Side::Server, text: answer.clone() }, CLEARTEXT);
            let meaning = dialect.read_server(reply_to, &answer);
            if let Ok(ServerMessage::Bye) | Err(_) = meaning {
                let what = "the server turned the connection away";
                return Err(Failed::new(exit::INCONCLUSIVE, what));
            }
            let mut words = Vec::new();
            dialect.write_client(message, &mut words);
            watch.tell(&TranscriptEntry { from: Side::Client, text: words.clone() }, CLEARTEXT);
            io.write_all(&words).await?;
            io.flush().await?;
        }
        Ok(())
    };
    let late = || Failed::new(exit::UNREACHABLE, format!("timed out after {:?}", args.peer.timeout));
    tokio::time::timeout(args.peer.timeout, asking).await.map_err(|_| late())?
}

async fn answer(
    io: &mut (impl AsyncReadExt + Unpin),
    dialect: &mut dyn Dialect,
    reply_to: ReplyTo,
    heard: &mut MessageReader,
) -> Result<Vec<u8>, Failed> {
    let mut chunk = vec![0; 4096];
    loop {
        match heard.next(dialect, reply_to) {
            Ok(Some(message)) => return Ok(message.to_vec()),
            Ok(None) => {}
            Err(_) => {
                return Err(Failed::new(
                    exit::VIOLATION,
                    "the server's answer is no answer in this protocol",
                ));
            }
        }
        match io.read(&mut chunk).await? {
            0 => return Err(Failed::new(exit::UNREACHABLE, "the server closed the connection")),
            count => heard.push(chunk.get(..count).unwrap_or_default()),
        }
    }
}
