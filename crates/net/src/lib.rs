//! STARTTLS for tokio and blocking streams, client and server, on rustls.
