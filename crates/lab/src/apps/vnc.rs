//! VNC (RFC 6143): a small screen of one color.

use super::context::{AppContext, Serving};
use crate::session::{Session, SessionError};

const WIDTH: u16 = 64;
const HEIGHT: u16 = 48;
const NAME: &[u8] = b"starttls lab";
/// 32 bits per pixel, depth 24, little-endian, true color, 255 of red, green and blue at 16, 8 and 0, and padding.
const PIXEL_FORMAT: [u8; 16] = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];

pub(crate) fn serve(context: AppContext<'_>) -> Serving<'_> {
    Box::pin(run(context))
}

async fn run(AppContext { session, .. }: AppContext<'_>) -> Result<(), SessionError> {
    // ClientInit. The screen is shared whether the client asks for that or not.
    if session.next_command().await?.is_none() {
        return Ok(());
    }
    session.send(WIDTH.to_be_bytes());
    session.send(HEIGHT.to_be_bytes());
    session.send(PIXEL_FORMAT);
    session.send((NAME.len() as u32).to_be_bytes());
    session.send(NAME);
    let mut octets = 4;
    while let Some(message) = session.next_command().await? {
        match message[..] {
            // SetPixelFormat.
            [0, _, _, _, bits @ (8 | 16 | 32), ..] => octets = usize::from(bits / 8),
            [0, ..] => break,
            // FramebufferUpdateRequest. Nothing changes, so that an incremental request has no answer.
            [3, 0, x0, x1, y0, y1, w0, w1, h0, h1] => {
                let (x, y) =
                    (u16::from_be_bytes([x0, x1]).min(WIDTH), u16::from_be_bytes([y0, y1]).min(HEIGHT));
                let width = u16::from_be_bytes([w0, w1]).min(WIDTH - x);
                let height = u16::from_be_bytes([h0, h1]).min(HEIGHT - y);
                update(session, [x, y, width, height], octets);
            }
            // Other messages have no answer.
            _ => {}
        }
    }
    Ok(())
}

/// Sends one rectangle in raw encoding.
fn update(session: &mut Session, rectangle: [u16; 4], octets: usize) {
    let [_, _, width, height] = rectangle;
    session.send([0, 0, 0, 1]);
    session.send(rectangle.map(u16::to_be_bytes).concat());
    session.send([0; 4]);
    session.send(vec![0x7f; usize::from(width) * usize::from(height) * octets]);
}
