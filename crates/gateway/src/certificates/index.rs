//! An index of certificates by host name.

use std::cmp::Reverse;
use std::sync::Arc;

use super::load::Certificate;
use crate::names::ByName;

/// The certificates for one name, the best first.
type Candidates = Vec<Arc<Certificate>>;

#[derive(Debug)]
pub(super) struct Index {
    all: Candidates,
    by_name: ByName<Candidates>,
    /// The certificates for clients that request an unknown name, or none.
    defaults: Candidates,
}

impl Index {
    /// Indexes these certificates. The first one is the default.
    pub(super) fn new(all: Candidates) -> Self {
        let mut by_name = ByName::<Candidates>::default();
        for certificate in &all {
            for name in &certificate.names {
                if let Some(candidates) = by_name.entry(name, Candidates::default) {
                    candidates.push(certificate.clone());
                    // ECDSA is cheaper for both sides. Of two with the same kind of key, the later expiry is the renewal.
                    candidates.sort_by_key(|it| (it.is_rsa(), Reverse(it.not_after)));
                }
            }
        }
        let mut index = Self { defaults: all.iter().take(1).cloned().collect(), by_name, all };
        // The default name may have an RSA and an ECDSA certificate.
        if let Some(name) = index.default().and_then(|it| it.names.first()).cloned()
            && let Some(candidates) = index.by_name.find(&name)
        {
            index.defaults = candidates.clone();
        }
        index
    }

    pub(super) fn with_default(self, name: &str) -> Option<Self> {
        let defaults = self.find(name)?.clone();
        Some(Self { defaults, ..self })
    }

    pub(super) fn all(&self) -> &[Arc<Certificate>] {
        &self.all
    }

    pub(super) fn default(&self) -> Option<&Certificate> {
        self.defaults.first().map(|it| &**it)
    }

    pub(super) fn defaults(&self) -> &Candidates {
        &self.defaults
    }

    pub(super) fn find(&self, name: &str) -> Option<&Candidates> {
        self.by_name.find(name)
    }
}
