//! Sockets, as far as they know nothing of requests.

pub mod listener;
