//! The authentication of the X Protocol: AuthenticateStart, AuthenticateContinue, AuthenticateOk.

use alloc::format;
use alloc::vec::Vec;

use super::protobuf::{Fields, bytes};
use super::{
    AUTHENTICATE_CONTINUE, AUTHENTICATE_OK, AUTHENTICATE_START, CAPABILITIES, CAPABILITIES_GET, CHALLENGE,
    ERROR, MECHANISMS, MySqlX, NOTICE, TURNED_AWAY, message, parts,
};
use crate::malformed::malformed;
use crate::{
    Denial, LoginDialect, LoginMessage, LoginReply, Malformed, OfferedMechanism, OutputBuffer, ReplyTo,
};

impl LoginDialect for MySqlX {
    fn mechanisms(&self, list: &[u8]) -> Vec<OfferedMechanism> {
        let Ok((CAPABILITIES, body)) = parts(list) else { return Vec::new() };
        let mechanisms = Fields(body).all(1).filter(|it| Fields(it).bytes(1) == Some(MECHANISMS));
        // Any, its array, the elements: scalars with a string.
        let array = mechanisms
            .filter_map(|it| Fields(Fields(it).bytes(2)?).bytes(4))
            .flat_map(|it| Fields(it).all(1));
        let name = |any| Fields(Fields(Fields(any).bytes(2)?).bytes(9)?).bytes(1);
        array.filter_map(name).map(OfferedMechanism::named).collect()
    }

    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool {
        let (kind, body, shown) = match msg {
            LoginMessage::Hello { .. } => (CAPABILITIES_GET, Vec::new(), "CapabilitiesGet".into()),
            LoginMessage::Begin { mechanism, initial } => {
                let data = initial.map(|initial| bytes(2, initial)).unwrap_or_default();
                let redacted = if initial.is_some() { " ***" } else { "" };
                let body = [bytes(1, mechanism.as_bytes()), data].concat();
                (AUTHENTICATE_START, body, format!("AuthenticateStart {mechanism}{redacted}"))
            }
            LoginMessage::Response(response) => {
                (AUTHENTICATE_CONTINUE, bytes(1, response), "AuthenticateContinue ***".into())
            }
            LoginMessage::Abort | LoginMessage::WhoAmI => return false,
        };
        let mut octets = Vec::new();
        message(kind, &body, &mut octets);
        out.push_described(octets, &shown);
        true
    }

    fn read(&mut self, _: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed> {
        let (kind, body) = parts(msg)?;
        Ok(match kind {
            NOTICE => LoginReply::Interim,
            CAPABILITIES => LoginReply::Offer(self.mechanisms(msg)),
            CHALLENGE => LoginReply::Challenge(Fields(body).bytes(1).unwrap_or_default().to_vec()),
            AUTHENTICATE_OK => LoginReply::Granted { data: None, user: None },
            ERROR => match Fields(body).varint(2) {
                // The limits of one user.
                Some(1203 | 1226) => LoginReply::Refused(Denial::Temporary),
                Some(1044 | 1045 | 1698 | 1820 | 1862 | 3118) => LoginReply::Refused(Denial::Credentials),
                Some(code) if TURNED_AWAY.contains(&code) => LoginReply::Bye,
                _ => LoginReply::Refused(Denial::Mechanism),
            },
            _ => return Err(malformed("the answer to a login")),
        })
    }
}
