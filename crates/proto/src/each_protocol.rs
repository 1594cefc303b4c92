//! The macro that repeats a test for each protocol.

/// Defines a test for each protocol of the registry and each of these functions, which get the [`Protocol`](crate::Protocol).
/// A failure then names its protocol, and hides that of no other. The tests of `property` are in a module `property`:
///
/// ```text
/// each_protocol! { an_offer_is_read a_refusal_is_read }
/// each_protocol! { async a_session_ends }
/// each_protocol! { parallel a_server_waits }
/// each_protocol! { if |it| it.flow.data_connections, [ftp]: a_data_connection_is_encrypted }
/// ```
///
/// A property that holds for some protocols has the condition and their names; another test compares the two. An `async`
/// property runs on the threads of tokio. A `parallel` one mostly waits: the first of its tests starts a thread for each
/// protocol, and each test reports the result of its own.
// Hidden because it is for the tests of this workspace: the crate is the only one that all of them can use.
#[doc(hidden)]
#[macro_export]
macro_rules! each_protocol {
    (async if $applies:expr, $protocols:tt: $($property:ident)+) => {
        $($crate::each_protocol! { @async $property if $applies, $protocols })+
    };
    (parallel if $applies:expr, $protocols:tt: $($property:ident)+) => {
        $($crate::each_protocol! { @parallel $property if $applies, $protocols })+
    };
    (if $applies:expr, $protocols:tt: $($property:ident)+) => {
        $($crate::each_protocol! { @sync $property if $applies, $protocols })+
    };
    (@async $property:ident if $applies:expr, [$($protocol:ident)+]) => {
        $crate::each_protocol! {
            @module $property if $applies, [$($protocol)+]
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $protocol() {
                    super::$property($crate::each_protocol!(@find $protocol)).await;
                }
            )+
        }
    };
    (@sync $property:ident if $applies:expr, [$($protocol:ident)+]) => {
        $crate::each_protocol! {
            @module $property if $applies, [$($protocol)+]
            $(
                #[test]
                fn $protocol() {
                    super::$property($crate::each_protocol!(@find $protocol));
                }
            )+
        }
    };
    (@parallel $property:ident if $applies:expr, [$($protocol:ident)+]) => {
        $crate::each_protocol! {
            @module $property if $applies, [$($protocol)+]

            static RUNNING: std::sync::LazyLock<
                std::sync::Mutex<std::collections::BTreeMap<&'static str, std::thread::JoinHandle<()>>>,
            > = std::sync::LazyLock::new(|| {
                let start = |protocol| std::thread::spawn(move || super::$property(protocol));
                let threads = [$((stringify!($protocol), start($crate::each_protocol!(@find $protocol)))),+];
                std::sync::Mutex::new(threads.into())
            });

            $(
                #[test]
                fn $protocol() {
                    let thread = RUNNING.lock().expect("no test panics while it holds the lock").remove(stringify!($protocol));
                    // The output of the thread belongs to the test that started it.
                    if let Err(panic) = thread.expect("a test runs once").join() {
                        let text = panic.downcast_ref::<String>().map(String::as_str);
                        panic!("{}", text.or(panic.downcast_ref().copied()).unwrap_or("no message"));
                    }
                }
            )+
        }
    };
    (@find $protocol:ident) => {
        $crate::protocol(&stringify!($protocol).replace('_', "-")).expect("a protocol of the registry")
    };
    (@module $property:ident if $applies:expr, [$($protocol:ident)+] $($tests:item)+) => {
        mod $property {
            $($tests)+

            #[test]
            fn no_protocol_is_missing() {
                let applies: fn(&$crate::Protocol) -> bool = $applies;
                let protocols = $crate::PROTOCOLS.iter().filter(|it| applies(it));
                let expected: std::collections::BTreeSet<_> =
                    protocols.map(|it| it.name.replace('-', "_")).collect();
                assert_eq!(expected, [$(stringify!($protocol)),+].map(String::from).into());
            }
        }
    };
    (async $($property:ident)+) => {
        $crate::each_protocol! {
            async if |_| true, [
                ftp http imap irc ldap lmtp mysql mysqlx nats nbd nntp nut pop3 postgres rdp sieve smtp submission vnc xmpp xmpp_server
            ]: $($property)+
        }
    };
    (parallel $($property:ident)+) => {
        $crate::each_protocol! {
            parallel if |_| true, [
                ftp http imap irc ldap lmtp mysql mysqlx nats nbd nntp nut pop3 postgres rdp sieve smtp submission vnc xmpp xmpp_server
            ]: $($property)+
        }
    };
    ($($property:ident)+) => {
        $crate::each_protocol! {
            if |_| true, [
                ftp http imap irc ldap lmtp mysql mysqlx nats nbd nntp nut pop3 postgres rdp sieve smtp submission vnc xmpp xmpp_server
            ]: $($property)+
        }
    };
}
