//! The way of a request, from the bytes of a connection to the reply on its socket: functions over an IO thread's state.
//!
//! - [`intake`] takes requests from the read buffer, bounded for each connection and round
//! - [`gate`] and [`restraints`] say whether a command may be executed, and whether now
//! - [`dispatch`] sends it to whoever executes it: a shard's batch ([`submit`]), several shards ([`over_shards`], [`each_shard`]),
//!   the control plane ([`control`]), an extension's thread ([`extension`]), the connection's own thread ([`own_command`]), or a transaction's queue ([`multi`])
//! - [`deliver`] brings replies of batches back, [`parked`] has commands wait whose client does not read, [`durable`] holds some of them back, [`output`] sends, [`settle`] is what follows work on a connection
//! - [`rights`] says what a client may do, [`lost_rights`] what becomes of those who may less than before, [`by_certificate`] who
//!   a client is that has a certificate
//! - [`blocked`] and [`paused`] look after connections that wait, [`quiet`] after who waits until others do, [`monitor`] shows commands to those who asked
//! - [`subscribe`] begins and ends subscriptions, [`publish`] brings connections what is published
//! - [`track`] begins and ends the tracking of keys, [`invalidate`] brings connections what they are told of them
//! - [`caller`] is the client of what another thread executes, [`slots`] are those of a command's keys, [`selected`] is the
//!   database of SELECT

pub mod blocked;
pub mod by_certificate;
pub mod caller;
pub mod control;
pub mod deliver;
pub mod dispatch;
pub mod durable;
pub mod each_shard;
pub mod extension;
pub mod gate;
pub mod intake;
pub mod invalidate;
pub mod lost_rights;
pub mod monitor;
pub mod multi;
pub mod output;
pub mod over_shards;
pub mod own_command;
pub mod own_requests;
pub mod parked;
pub mod paused;
pub mod publish;
pub mod quiet;
pub mod restraints;
pub mod rights;
pub mod selected;
pub mod settle;
pub mod slots;
pub mod submit;
pub mod subscribe;
pub mod track;
