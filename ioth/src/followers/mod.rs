//! Those who follow this server, as all threads may know of them: [`backlog`] is what they are sent, [`replica`] a link to one of
//! them, [`replicas`] all of them. Who feeds them is above, in [`crate::replication`].

pub mod backlog;
pub mod replica;
pub mod replicas;
