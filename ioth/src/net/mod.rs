//! Sockets, as far as they know nothing of requests.

pub mod buffers;
pub mod certificate;
pub mod link_socket;
pub mod listener;
pub mod records;
pub mod tls;
pub mod tls_config;
pub mod transport;
