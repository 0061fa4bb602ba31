//! The journal's order, modelled: threads execute slices under real batons, record and hand over what they did as the engine does,
//! and the journal's own thread puts it into order for a sink.
//!
//! What holds, in every interleaving: the order of tickets is the order of slices in each shard; a transaction over shards is
//! one unit and nothing comes between its parts; a mark that is pushed with all batons held has behind it what was done before
//! and nothing else, and so has a sink that joins; nobody waits for room with a baton held; the journal's thread does not sleep
//! beside work, and writers that it held back go on; and after the end nothing is left.
//!
//! An effect is one word, `shard:number`: the number counts what was done in that shard, under its baton. So whatever the sink
//! was given tells by itself whether it is in order.

use std::sync::atomic::AtomicBool;
use std::sync::Mutex;
use std::time::Duration;

use loom::sync::atomic::AtomicU64;

use sherd_shards::journal::recorder::{effect, Unit};
use sherd_shards::journal::{Block, Flushed, Journal, Sink};

use super::*;

/// One of two shards.
struct Shard {
    baton: Baton,
    done: Guarded,
}

impl Shard {
    fn new() -> Shard {
        Shard { baton: Baton::new(), done: Guarded::new() }
    }
}

/// A journal, and the shards whose writes it gets.
struct Written {
    journal: Journal,
    shards: [Shard; 2],
}

impl Written {
    fn new() -> Arc<Written> {
        Arc::new(Written { journal: Journal::default(), shards: [Shard::new(), Shard::new()] })
    }

    /// Takes the batons in ascending order, does something, lets go.
    fn with<R>(&self, shards: &[usize], work: impl FnOnce() -> R) -> R {
        shards.iter().for_each(|&shard| self.shards[shard].baton.acquire());
        let result = work();
        shards.iter().for_each(|&shard| self.shards[shard].baton.release());
        result
    }

    /// Does something in each of the shards and hands it over. Their batons are held.
    fn write(&self, shards: &[usize]) {
        let unit = Unit::begin();
        for &shard in shards {
            self.shards[shard].done.touch();
            effect(0, &[format!("{shard}:{}", self.shards[shard].done.count()).as_bytes()]);
        }
        drop(unit);
        assert_ne!(self.journal.hand_over().0, 0, "a slice that wrote has a ticket");
    }

    /// A slice in one shard, or a transaction over two.
    fn slice(&self, shards: &[usize]) {
        self.with(shards, || self.write(shards));
    }

    /// What was done in each shard. All batons are held.
    fn done(&self) -> [usize; 2] {
        [self.shards[0].done.count(), self.shards[1].done.count()]
    }
}

/// A thread that executes slices one after the other.
fn writer(written: &Arc<Written>, slices: &'static [&'static [usize]]) -> thread::JoinHandle<()> {
    let written = Arc::clone(written);
    thread::spawn(move || slices.iter().for_each(|shards| written.slice(shards)))
}

/// A sink that keeps the words which it was given, and wakes who waits for them.
#[derive(Clone)]
struct Received {
    words: std::sync::Arc<Mutex<Vec<String>>>,
    waiting: Option<thread::Thread>,
    gather: Duration,
}

impl Received {
    /// A sink for which nobody waits.
    fn new() -> Received {
        Received { words: Default::default(), waiting: None, gather: Duration::ZERO }
    }

    /// A sink for whose words this thread waits.
    fn awaited() -> Received {
        Received { waiting: Some(thread::current()), ..Received::new() }
    }

    fn words(&self) -> Vec<String> {
        self.words.lock().expect("nobody panics with it").clone()
    }

    /// How many effects of each shard have come.
    fn effects(&self) -> [usize; 2] {
        let words = self.words();
        ["0:", "1:"].map(|shard| words.iter().filter(|word| word.starts_with(shard)).count())
    }

    /// Waits, for ever if one is left behind, until so many effects have come.
    fn wait_for(&self, effects: usize) {
        while self.effects().iter().sum::<usize>() < effects {
            thread::park();
        }
    }

    /// Checks that in each shard the effects are those from `first` on, in order, and that units are whole.
    fn check_from(&self, first: [usize; 2]) {
        let words = self.words();
        let mut next = first;
        let mut within = None;
        for word in &words {
            match (word.as_str(), &mut within) {
                ("MULTI", None) => within = Some(Vec::new()),
                ("EXEC", Some(shards)) => {
                    assert_eq!(shards, &[0, 1], "a transaction in part, or with another's: {words:?}");
                    within = None;
                }
                (word, within) => {
                    let (shard, number) = word.split_once(':').expect("an effect");
                    let shard: usize = shard.parse().expect("a shard");
                    assert_eq!(number.parse(), Ok(next[shard]), "not in the order of the slices: {words:?}");
                    next[shard] += 1;
                    if let Some(shards) = within {
                        shards.push(shard);
                    }
                }
            }
        }
        assert!(within.is_none(), "half a transaction: {words:?}");
    }
}

impl Sink for Received {
    fn take(&mut self, block: &Block<'_>) {
        let text = String::from_utf8(block.bytes.to_vec()).expect("text");
        let words = text.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with(['*', '$']));
        let words = words.map(str::to_owned).filter(|word| word != "SELECT" && word != "0");
        self.words.lock().expect("nobody panics with it").extend(words);
    }

    fn flush(&mut self) -> Flushed {
        if let Some(waiting) = &self.waiting {
            waiting.unpark();
        }
        Flushed { pending_bytes: 0, buffer_bytes: 0, is_durable: true, again_in: None, gather: self.gather }
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

/// Two writers and the thread that waits for what they do; nobody wakes the journal's thread but they.
fn write_and_wait(gather: Duration) {
    loom::model(move || {
        let written = Written::new();
        let received = Received { gather, ..Received::awaited() };
        written.journal.attach(Box::new(received.clone()), |_| {}).expect("a thread");
        let other = writer(&written, &[&[0]]);
        written.slice(&[0, 1]);
        received.wait_for(3);
        other.join().expect("a writer ends well");
        received.check_from([1, 1]);
        written.journal.stop();
        assert_eq!(received.effects(), [2, 1]);
    });
}

#[test]
fn what_threads_write_comes_in_the_order_of_their_slices_and_nothing_sleeps_beside_it() {
    write_and_wait(Duration::ZERO);
}

#[test]
fn a_journal_that_naps_between_rounds_leaves_nothing_behind() {
    write_and_wait(Duration::from_millis(1));
}

#[test]
fn tickets_of_two_shards_agree_with_both_however_their_threads_meet() {
    loom::model(|| {
        let written = Written::new();
        let received = Received::new();
        written.journal.attach(Box::new(received.clone()), |_| {}).expect("a thread");
        let others = [writer(&written, &[&[0, 1]]), writer(&written, &[&[1]])];
        written.slice(&[0]);
        others.into_iter().for_each(|other| other.join().expect("a writer ends well"));
        written.journal.stop();
        received.check_from([1, 1]);
        assert_eq!(received.effects(), [2, 2]);
    });
}

#[test]
fn a_mark_that_is_pushed_with_all_batons_held_is_a_cut() {
    loom::model(|| {
        let written = Written::new();
        let received = Received::new();
        written.journal.attach(Box::new(received.clone()), |_| {}).expect("a thread");
        let other = writer(&written, &[&[0], &[0, 1]]);
        let at_mark = std::sync::Arc::new(OnceLock::new());
        let at_cut = written.with(&[0, 1], || {
            let (received, at_mark) = (received.clone(), std::sync::Arc::clone(&at_mark));
            written.journal.mark(move |_| at_mark.set(received.effects()).expect("a mark runs once"));
            written.done()
        });
        written.slice(&[1]);
        other.join().expect("a writer ends well");
        written.journal.stop();
        assert_eq!(at_mark.get(), Some(&at_cut), "the mark has not the writes before it, or some after it");
        received.check_from([1, 1]);
        assert_eq!(received.effects(), [2, 2]);
    });
}

#[test]
fn a_sink_that_joins_with_all_batons_held_gets_what_comes_after_and_all_of_it() {
    loom::model(|| {
        let written = Written::new();
        let (early, late) = (Received::new(), Received::new());
        written.journal.attach(Box::new(early.clone()), |_| {}).expect("a thread");
        let other = writer(&written, &[&[0, 1], &[0]]);
        let before = written.with(&[0, 1], || {
            written.journal.attach(Box::new(late.clone()), |_| {}).expect("a thread");
            written.done()
        });
        other.join().expect("a writer ends well");
        written.journal.stop();
        early.check_from([1, 1]);
        late.check_from(before.map(|count| count + 1));
        let after = late.effects();
        assert_eq!([before[0] + after[0], before[1] + after[1]], [2, 1]);
    });
}

#[test]
fn nobody_waits_for_room_in_the_journal_while_it_holds_a_baton() {
    loom::model(|| {
        let written = Written::new();
        let received = Received::awaited();
        written.journal.attach(Box::new(received.clone()), |_| {}).expect("a thread");
        written.with(&[0], || {
            // The journal's thread comes no further than this before the baton is let go of.
            let holder = Arc::clone(&written);
            written.journal.mark(move |_| holder.with(&[0], || ()));
            // More than its queue has places.
            (0..4).for_each(|_| written.write(&[0]));
        });
        received.wait_for(4);
        received.check_from([1, 1]);
        written.journal.stop();
    });
}

#[test]
#[ignore = "deadlocks on purpose; run by the test below"]
fn a_queue_that_makes_its_senders_wait() {
    loom::model(|| {
        let shared = Arc::new((Baton::new(), Ring::new(2)));
        let journal = {
            let (shared, sender) = (Arc::clone(&shared), thread::current());
            thread::spawn(move || {
                shared.0.acquire();
                while shared.1.pop().is_some() {}
                shared.0.release();
                sender.unpark();
            })
        };
        shared.0.acquire();
        for item in 0..4 {
            while shared.1.push(Box::new(item)).is_err() {
                thread::park();
            }
        }
        shared.0.release();
        journal.join().expect("it ends well");
    });
}

#[test]
fn a_sender_that_waits_for_room_with_a_baton_held_deadlocks() {
    assert_deadlocks("journal::a_queue_that_makes_its_senders_wait");
}

#[test]
fn what_is_handed_over_before_the_end_reaches_the_sink() {
    loom::model(|| {
        let written = Written::new();
        let received = Received::new();
        written.journal.attach(Box::new(received.clone()), |_| {}).expect("a thread");
        let other = writer(&written, &[&[0, 1]]);
        written.slice(&[0]);
        other.join().expect("a writer ends well");
        written.journal.stop();
        assert_eq!(received.effects(), [2, 1]);
        assert_eq!(written.journal.waiting_bytes(), 0);
        assert_eq!(written.journal.mark(|_| unreachable!("it has ended")), 0);
    });
}

#[test]
fn writers_that_are_held_back_go_on_when_what_waited_is_gone() {
    loom::model(|| {
        let written = Written::new();
        let received = Received::new();
        let behind = std::sync::Arc::new(AtomicBool::new(false));
        let (gate, writer) = (std::sync::Arc::clone(&behind), thread::current());
        written.journal.set_writers_gate(Box::new(move |hold| {
            gate.store(hold, Relaxed);
            writer.unpark();
        }));
        written.journal.attach(Box::new(received.clone()), |_| {}).expect("a thread");
        // More than may wait in a model.
        written.with(&[0], || {
            effect(0, &[&[b'x'; 600]]);
            written.journal.hand_over();
        });
        while behind.load(Relaxed) {
            thread::park();
        }
        written.slice(&[1]);
        written.journal.stop();
        assert_eq!(written.journal.waiting_bytes(), 0);
        assert!(!behind.load(Relaxed), "nobody lets the writers go on");
    });
}

/// The order as it would be if a ticket were taken when the baton is held no more.
fn tickets(taken_with_the_baton: bool) {
    loom::model(move || {
        let shared = Arc::new((Baton::new(), Guarded::new(), AtomicU64::new(0), Mutex::new(Vec::new())));
        let slice = move |shared: &(Baton, Guarded, AtomicU64, Mutex<Vec<(u64, usize)>>)| {
            let (baton, done, tickets, handed_over) = shared;
            let ticket = || tickets.fetch_add(1, Relaxed);
            baton.acquire();
            done.touch();
            let number = done.count();
            let early = taken_with_the_baton.then(ticket);
            baton.release();
            let ticket = early.unwrap_or_else(ticket);
            handed_over.lock().expect("nobody panics with it").push((ticket, number));
        };
        let other = Arc::clone(&shared);
        let second = thread::spawn(move || slice(&other));
        slice(&shared);
        second.join().expect("the second ends well");
        let mut slices = shared.3.lock().expect("nobody panics with it").clone();
        slices.sort_unstable();
        assert!(slices.is_sorted_by_key(|(_, number)| *number), "another order than that of the slices: {slices:?}");
    });
}

#[test]
fn a_ticket_that_is_taken_with_the_baton_held_tells_the_order() {
    tickets(true);
}

#[test]
#[should_panic(expected = "another order than that of the slices")]
fn a_ticket_that_is_taken_after_the_baton_tells_another_order() {
    tickets(false);
}
