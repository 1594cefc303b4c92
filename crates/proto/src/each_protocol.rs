//! The macro that repeats a test for each protocol.

/// Defines a test for each protocol of the registry and each of these functions, which get the [`Protocol`](crate::Protocol).
/// A failure then names its protocol, and hides that of no other. The tests of `property` are in a module `property`:
///
/// ```text
/// each_protocol! { an_offer_is_read a_refusal_is_read }
/// each_protocol! { async a_session_ends }
/// each_protocol! { parallel a_server_waits }
/// each_protocol! { if |it| it.flow.data_connections => a_data_connection_is_encrypted }
/// ```
///
/// A property that holds for some protocols has a condition. The tests of the other protocols do nothing, and one more test fails
/// if the property holds for no protocol. An `async` property runs on the threads of tokio. A `parallel` one mostly waits: the
/// first of its tests starts a thread for each protocol, and each test reports the result of its own.
// Hidden because it is for the tests of this workspace: the crate is the only one that all of them can use.
#[doc(hidden)]
#[macro_export]
macro_rules! each_protocol {
    (async if $applies:expr => $($property:ident)+) => {
        $($crate::each_protocol! { @module async $property if $applies })+
    };
    (parallel if $applies:expr => $($property:ident)+) => {
        $($crate::each_protocol! { @module parallel $property if $applies })+
    };
    (if $applies:expr => $($property:ident)+) => {
        $($crate::each_protocol! { @module sync $property if $applies })+
    };
    (@module $how:tt $property:ident if $applies:expr) => {
        mod $property {
            fn applies(protocol: &$crate::Protocol) -> bool {
                let applies: fn(&$crate::Protocol) -> bool = $applies;
                applies(protocol)
            }

            /// Returns the protocol that a test is called after, if the property holds for it.
            fn protocol(test: &str) -> Option<&'static $crate::Protocol> {
                let protocol = $crate::protocol(&test.replace('_', "-")).expect("a protocol of the registry");
                Some(protocol).filter(|it| applies(it))
            }

            $crate::registry! { ($crate::each_protocol) @tests $how $property }

            #[test]
            fn it_holds_for_a_protocol() {
                assert!($crate::PROTOCOLS.iter().any(|it| applies(it)));
            }
        }
    };
    (@tests async $property:ident $($protocol:ident: $constant:path,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $protocol() {
                if let Some(protocol) = protocol(stringify!($protocol)) {
                    super::$property(protocol).await;
                }
            }
        )+
    };
    (@tests sync $property:ident $($protocol:ident: $constant:path,)+) => {
        $(
            #[test]
            fn $protocol() {
                if let Some(protocol) = protocol(stringify!($protocol)) {
                    super::$property(protocol);
                }
            }
        )+
    };
    (@tests parallel $property:ident $($protocol:ident: $constant:path,)+) => {
        static RUNNING: std::sync::LazyLock<
            std::sync::Mutex<std::collections::BTreeMap<String, std::thread::JoinHandle<()>>>,
        > = std::sync::LazyLock::new(|| {
            let start = |protocol: &'static $crate::Protocol| std::thread::spawn(move || super::$property(protocol));
            let protocols = $crate::PROTOCOLS.iter().filter(|it| applies(it));
            let threads = protocols.map(|it| (it.name.replace('-', "_"), start(it)));
            std::sync::Mutex::new(threads.collect())
        });

        $(
            #[test]
            fn $protocol() {
                let mut running = RUNNING.lock().expect("no test panics while it holds the lock");
                let Some(thread) = running.remove(stringify!($protocol)) else {
                    assert!(protocol(stringify!($protocol)).is_none(), "a test runs once");
                    return;
                };
                drop(running);
                // The output of the thread belongs to the test that started it.
                if let Err(panic) = thread.join() {
                    let text = panic.downcast_ref::<String>().map(String::as_str);
                    panic!("{}", text.or(panic.downcast_ref().copied()).unwrap_or("no message"));
                }
            }
        )+
    };
    (async $($property:ident)+) => {
        $crate::each_protocol! { async if |_| true => $($property)+ }
    };
    (parallel $($property:ident)+) => {
        $crate::each_protocol! { parallel if |_| true => $($property)+ }
    };
    ($($property:ident)+) => {
        $crate::each_protocol! { if |_| true => $($property)+ }
    };
}
