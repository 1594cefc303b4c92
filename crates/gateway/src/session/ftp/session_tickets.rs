//! Session tickets for FTP: a data connection can resume only the TLS session of its own control connection (rule S9).

use std::sync::Arc;

use starttls::Acceptor;
use starttls::rustls::server::ProducesTickets;

const ID_LEN: usize = 16;

/// The acceptors for the control connection and the data connections of one session. Their tickets are the listener's with
/// a random session id inside. Every control connection of the listener accepts them, a data connection only those with the
/// id of its session.
#[derive(Debug)]
pub(in crate::session) struct SessionTickets {
    control: Acceptor,
    data: Acceptor,
}

impl SessionTickets {
    /// Returns `None` if the listener has no tickets, or if the system has no randomness for the id.
    pub(in crate::session) fn new(acceptor: &Acceptor) -> Option<Self> {
        let mut session = [0; ID_LEN];
        aws_lc_rs::rand::fill(&mut session).ok()?;
        let listeners = acceptor.tickets()?;
        let tied = |only_own| {
            acceptor.with_tickets(Arc::new(Tickets { listeners: listeners.clone(), session, only_own }))
        };
        Some(Self { control: tied(false), data: tied(true) })
    }

    pub(in crate::session) fn control(&self) -> &Acceptor {
        &self.control
    }

    pub(super) fn data(&self) -> &Acceptor {
        &self.data
    }
}

#[derive(Debug)]
struct Tickets {
    listeners: Arc<dyn ProducesTickets>,
    session: [u8; ID_LEN],
    only_own: bool,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.listeners.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.listeners.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.listeners.encrypt(&[&self.session, plain].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let opened = self.listeners.decrypt(ticket)?;
        let (session, plain) = opened.split_first_chunk::<ID_LEN>()?;
        (!self.only_own || *session == self.session).then(|| plain.to_vec())
    }
}
