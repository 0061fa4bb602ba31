//! An IO thread's loop: what happens at its sockets and in its mailbox.

pub mod accept;
