//! FTP: the control connection, and the data connections beside it.

mod bulk;
mod clients;
mod control;
mod strangers;
mod support;
mod transfers;
