//! `--until ehlo`: reads the server's greeting and its reply to EHLO, in cleartext.

use starttls::proto::{
    ClientMessage, Dialect, Identity, MessageReader, ReplyTo, ServerMessage, Side, TranscriptEntry,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::route::Hop;
use crate::args::Send;
use crate::error::Failed;
use crate::exit;
use crate::peer::Dial;
use crate::session::Watch;

const CLEARTEXT: &str = "cleartext";

/// Reads the greeting, sends EHLO, reads the reply and quits.
pub(super) async fn run(args: &Send, hop: &Hop, dial: &Dial, watch: &Watch) -> Result<(), Failed> {
    let connector = args.connector()?;
    let asking = async {
        let mut io = dial.open(&connector).await?;
        let mut identity = Identity::new(args.peer.server_name(&hop.target.host.ascii));
        identity.client_name = args.client_name();
        let mut dialect = hop.target.protocol.new_dialect(identity);
        let mut received = MessageReader::new(Side::Server);
        for (reply_to, message) in
            [(ReplyTo::Connect, ClientMessage::Hello), (ReplyTo::Hello, ClientMessage::Quit)]
        {
            let answer = answer(&mut io, &mut *dialect, reply_to, &mut received).await?;
            watch.show(&TranscriptEntry { from: Side::Server, text: answer.clone() }, CLEARTEXT);
            let meaning = dialect.read_server(reply_to, &answer);
            if let Ok(ServerMessage::Bye) | Err(_) = meaning {
                let message = "the server turned the connection away";
                return Err(Failed::new(exit::INCONCLUSIVE, message));
            }
            let mut command = Vec::new();
            dialect.write_client(message, &mut command);
            watch.show(&TranscriptEntry { from: Side::Client, text: command.clone() }, CLEARTEXT);
            io.write_all(&command).await?;
            io.flush().await?;
        }
        Ok(())
    };
    let late = || {
        Failed::new(
            exit::UNREACHABLE,
            format!("timed out after {:?} while waiting for the reply to EHLO", args.peer.timeout),
        )
    };
    tokio::time::timeout(args.peer.timeout, asking).await.map_err(|_| late())?
}

async fn answer(
    io: &mut (impl AsyncReadExt + Unpin),
    dialect: &mut dyn Dialect,
    reply_to: ReplyTo,
    received: &mut MessageReader,
) -> Result<Vec<u8>, Failed> {
    let mut chunk = vec![0; 4096];
    loop {
        match received.next(dialect, reply_to) {
            Ok(Some(message)) => return Ok(message.to_vec()),
            Ok(None) => {}
            Err(_) => {
                return Err(Failed::new(exit::VIOLATION, "the server sent an invalid reply"));
            }
        }
        match io.read(&mut chunk).await? {
            0 => return Err(Failed::new(exit::UNREACHABLE, "the server closed the connection")),
            count => received.push(chunk.get(..count).unwrap_or_default()),
        }
    }
}
