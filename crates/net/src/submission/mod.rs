//! Delivery of mail inside TLS: SMTP, submission and LMTP.
//!
//! A [`Delivery`] is a [`Message`] with its envelope. [`Delivery::send`] sends it over an
//! [`Encrypted`](crate::Encrypted) stream, and [`Delivery::send_blocking`] over a blocking one. [`Submission`] is the
//! delivery without I/O that both drive. This module does not build messages: it sends octets unchanged.
//!
//! ```no_run
//! # #[cfg(feature = "tokio")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use starttls::submission::{Delivery, Message};
//! use starttls::{Connector, login::Account, proto::smtp::SUBMISSION};
//!
//! let message = Message::from_text(b"From: john@example.com\nTo: jane@example.org\n\nHello!\n")?;
//! let delivery = Delivery::new("john@example.com", ["jane@example.org"], message)?;
//! let mut stream = Connector::builder().build()?.connect(&SUBMISSION, ("mail.example.com", 587)).await?;
//! let login = Account::password("john", "sesame").log_in(&SUBMISSION, &mut stream).await?;
//! let delivered = delivery.send(&SUBMISSION, &mut stream, Some(&login)).await?;
//! for recipient in delivered.recipients {
//!     println!("{}: {}", recipient.address, recipient.is_accepted());
//! }
//! # Ok(())
//! # }
//! ```

mod delivery;
mod drive;
mod error;
mod machine;
mod message;
mod reply;

pub use delivery::{Delivered, Delivery, Notify, Recipient, Until};
pub use error::SubmissionError;
pub use machine::{Submission, SubmissionProgress};
pub use message::Message;
pub use reply::{Extensions, Reply};
