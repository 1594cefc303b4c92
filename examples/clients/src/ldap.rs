//! `rasn-ldap`: binds and reads an entry. The crate contains the messages of LDAP and does no I/O.

use rasn_ldap::{
    AuthenticationChoice, BindRequest, Filter, LdapMessage, ProtocolOp, ResultCode, SearchRequest,
    SearchRequestDerefAliases, SearchRequestScope,
};
use starttls::{Connector, Endpoint, proto::ldap::LDAP};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Failure;

/// Binds as `user` and returns the names of the attributes of that entry.
///
/// # Errors
/// Returns an error if the upgrade fails, or if the server rejects the bind or the search.
pub async fn attributes(
    connector: &Connector,
    server: Endpoint,
    (user, password): (&str, &str),
) -> Result<Vec<String>, Failure> {
    let mut stream = connector.connect(&LDAP, server).await?;
    let simple = AuthenticationChoice::Simple(password.as_bytes().to_vec().into());
    let bind = ProtocolOp::BindRequest(BindRequest::new(3, user.into(), simple));
    let (scope, aliases) = (SearchRequestScope::BaseObject, SearchRequestDerefAliases::NeverDerefAliases);
    let all = Filter::Present("objectClass".into());
    let search = SearchRequest::new(user.into(), scope, aliases, 0, 0, false, all, Vec::new());
    for (id, request) in [(1, bind), (2, ProtocolOp::SearchRequest(search))] {
        let message = rasn::ber::encode(&LdapMessage::new(id, request)).map_err(|error| error.to_string())?;
        stream.write_all(&message).await?;
    }
    stream.flush().await?;
    let (mut input, mut names) = (Vec::new(), Vec::new());
    loop {
        match receive(&mut stream, &mut input).await? {
            ProtocolOp::BindResponse(bound) if bound.result_code == ResultCode::Success => {}
            ProtocolOp::SearchResEntry(entry) => {
                names.extend(entry.attributes.into_iter().map(|it| it.r#type.0.to_string()));
            }
            ProtocolOp::SearchResDone(done) if done.0.result_code == ResultCode::Success => return Ok(names),
            other => return Err(format!("unexpected answer: {other:?}").into()),
        }
    }
}

/// Receives the next message of at most 64 KiB. `input` keeps the bytes after it.
async fn receive(
    stream: &mut (impl AsyncReadExt + Unpin),
    input: &mut Vec<u8>,
) -> Result<ProtocolOp, Failure> {
    loop {
        if let Ok((message, rest)) = rasn::ber::decode_with_remainder::<LdapMessage>(input) {
            *input = rest.to_vec();
            return Ok(message.protocol_op);
        }
        if input.len() > 1 << 16 || stream.read_buf(input).await? == 0 {
            return Err("the answer is too long or incomplete".into());
        }
    }
}
