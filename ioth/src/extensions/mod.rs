//! Commands of extensions, as far as they are executed here: [`execution`] runs the data commands that one calls, [`watch`]
//! looks after deadlines, [`unrung`] wakes the IO threads that have been told of answers. The commands themselves are Python's, and so are the threads that run them; what waits for these is in
//! [`crate::shared::extensions`].

pub mod execution;
pub mod unrung;
pub mod watch;

use crate::shared::extensions::deadline::Answer;
use crate::shared::extensions::work::Work;
use crate::shared::message::Message;
use crate::shared::Shared;

use unrung::Unrung;

/// Answers commands of a connection, in the thread that has executed them; see [`crate::request::control::answer`]. What must
/// be durable first is left to the connection's thread. That is woken if the client has not got everything.
pub fn answer(shared: &Shared, answer: Answer, unrung: &mut Unrung<'_>) {
    let Answer { token: connection, lent, replies: data, ticket, is_all, untaken } = answer;
    let waits = ticket != 0 && shared.world.holds_replies();
    let sent = lent.filter(|_| !waits).map_or(0, |lent| lent.send(&data));
    let has_everything = is_all && untaken.is_empty() && sent == data.len();
    unrung.tell(usize::from(connection.io_thread), Message::Called { connection, data, sent, ticket, is_all, untaken });
    if !has_everything {
        unrung.ring();
    }
}

/// Has the connections closed whose commands were not begun when the server ends.
pub fn dismiss(shared: &Shared, work: Vec<Work>) {
    for work in work {
        let connection = match work {
            Work::Calls(calls) => calls.token,
            Work::Exec(request) => request.token,
            Work::Task(_) => continue,
        };
        shared.tell(connection, Message::Reply { connection, data: Vec::new(), sent: 0, close: true });
    }
}
