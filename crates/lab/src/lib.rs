//! A throw-away certificate authority, embedded servers and launchers for real ones.
