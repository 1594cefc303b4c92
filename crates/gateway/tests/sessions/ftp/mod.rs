//! FTP: the control connection and its data connections.

mod bulk;
mod clients;
mod control;
mod strangers;
mod support;
mod transfers;
