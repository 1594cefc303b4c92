//! `--policy-cache`: the MTA-STS policies that earlier deliveries fetched, in the format of the file of `policy serve`.
//!
//! An attacker who suppresses the TXT record of a domain then does not end its policy (RFC 8461 sections 3.3 and 10.2).

#[cfg(unix)]
pub(super) use file::PolicyCache;
#[cfg(not(unix))]
pub(super) use nothing::PolicyCache;

#[cfg(unix)]
mod file {
    use std::collections::HashMap;
    use std::path::PathBuf;
    use std::time::Duration;

    use starttls_dns::DnsName;
    use starttls_policy::decide::PolicyChoice;
    use starttls_policy::drive::{PolicyStore, StoreError, StoredPolicy};
    use starttls_policy::sts::{CacheChange, CachedPolicy, cache_change};
    use tokio::time::{Instant, sleep};

    use crate::args::Send;
    use crate::error::Failed;

    /// The time to wait for another delivery that changes the file.
    const LOCK_LIMIT: Duration = Duration::from_secs(3);

    /// The policies of earlier deliveries, and the file that keeps them. Deliveries read the file without locking it, so that
    /// they do not wait for each other.
    pub(in crate::send) struct PolicyCache {
        path: PathBuf,
        policies: HashMap<DnsName, StoredPolicy>,
    }

    impl PolicyCache {
        /// Reads the file, if the user names one. A lost file is an error, because the policies in it would be lost in silence.
        pub(in crate::send) fn open(args: &Send) -> Result<Option<Self>, Failed> {
            let Some(path) = &args.policy_cache else { return Ok(None) };
            if !matches!(args.policy_choice(), PolicyChoice::Best | PolicyChoice::Sts) {
                let hint = String::from("use it with --mx, or with --policy best or sts");
                return Err(
                    Failed::usage("--policy-cache has no effect: MTA-STS is not used").hint(Some(hint))
                );
            }
            let opened = match args.reset_policy_cache {
                true => PolicyStore::create(path).map(drop),
                false => Ok(()),
            };
            match opened.and_then(|()| PolicyStore::read(path)) {
                Ok(policies) => Ok(Some(Self { path: path.clone(), policies })),
                Err(error) => Err(unusable(&error)),
            }
        }

        /// Returns the policy of a domain.
        pub(in crate::send) fn policy(&self, domain: &DnsName) -> Option<&CachedPolicy> {
            self.policies.get(domain).map(|it| &it.cached)
        }

        /// Keeps the policy that applies now. It has reached the disk when this returns.
        pub(in crate::send) async fn keep(
            &self,
            domain: &DnsName,
            applies: Option<&CachedPolicy>,
            now: u64,
        ) -> Result<(), StoreError> {
            let change = cache_change(self.policy(domain), applies);
            if change == CacheChange::Keep {
                return Ok(());
            }
            let mut store = self.lock().await?;
            let written = match change {
                CacheChange::Store(new) => {
                    store.put(domain.clone(), StoredPolicy { cached: new.clone(), used: now })
                }
                CacheChange::Keep | CacheChange::Forget => store.remove(domain).map(drop),
            };
            written.map_err(|error| StoreError::Io(self.path.clone(), error))
        }

        /// Opens the file for a change. Another delivery holds it for a moment, a policy service as long as it runs.
        async fn lock(&self) -> Result<PolicyStore, StoreError> {
            let deadline = Instant::now() + LOCK_LIMIT;
            loop {
                match PolicyStore::open(&self.path) {
                    Err(StoreError::InUse(_)) if Instant::now() < deadline => {
                        sleep(Duration::from_millis(20)).await;
                    }
                    opened => return opened,
                }
            }
        }
    }

    fn unusable(error: &StoreError) -> Failed {
        let hint = match error {
            StoreError::Missing(_) => {
                "use --reset-policy-cache to create it; after a loss, the policies in it are obeyed only when they have been fetched again"
            }
            StoreError::InUse(_) => "use another file: a policy service uses this one",
            _ => "restore it from a backup, or use --reset-policy-cache to start without the known policies",
        };
        Failed::usage(error.to_string()).hint(Some(hint.into()))
    }
}

/// The file of policies needs Unix.
#[cfg(not(unix))]
mod nothing {
    use std::convert::Infallible;

    use starttls_dns::DnsName;
    use starttls_policy::sts::CachedPolicy;

    use crate::args::Send;
    use crate::error::Failed;

    pub(in crate::send) enum PolicyCache {}

    impl PolicyCache {
        pub(in crate::send) fn open(_: &Send) -> Result<Option<Self>, Failed> {
            Ok(None)
        }

        pub(in crate::send) fn policy(&self, _: &DnsName) -> Option<&CachedPolicy> {
            match *self {}
        }

        pub(in crate::send) async fn keep(
            &self,
            _: &DnsName,
            _: Option<&CachedPolicy>,
            _: u64,
        ) -> Result<(), Infallible> {
            match *self {}
        }
    }
}
