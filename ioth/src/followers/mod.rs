//! Those who follow this server, as all threads may know of them: [`backlog`] is what they are sent, [`transfer`] a snapshot on its
//! way to them without a file, [`replica`] a link to one of them, [`replicas`] all of them; [`chunks`] is what the first two are made
//! of. Who feeds them is above, in [`crate::replication`].

pub mod backlog;
mod chunks;
pub mod replica;
pub mod replicas;
pub mod transfer;
