//! What slices raise is told in their order, and before anybody is answered who may have seen what has raised it.

use loom::sync::{Arc, Mutex};
use loom::thread;

use sherd_shards::executor::baton::Baton;
use sherd_shards::executor::engine::news::{News, Tidings};
use sherd_shards::keyspace::events::Event;
use sherd_shards::keyspace::outbox::Letters;

use super::Guarded;

/// A shard in which each change raises an event with its number, and what was told of that.
struct Scene {
    baton: Baton,
    changes: Guarded,
    news: News,
    told: Arc<Mutex<usize>>,
}

impl Scene {
    fn new() -> Arc<Scene> {
        let told = Arc::new(Mutex::new(0));
        let heard = Arc::clone(&told);
        let news = News::default();
        news.set_consumer(Box::new(move |tidings: Tidings| {
            let mut told = heard.lock().expect("nobody panics with it");
            for event in tidings.events {
                assert_eq!(event.number, *told as u64, "told in another order than it was raised");
                *told += 1;
            }
        }));
        Arc::new(Scene { baton: Baton::new(), changes: Guarded::new(), news, told })
    }

    /// A command that changes something, up to its answer.
    fn change(&self) {
        self.baton.acquire();
        let number = self.changes.count();
        self.changes.touch();
        let event = Event {
            db: 0,
            class: 0,
            name: "change",
            key: Vec::new(),
            elements: Vec::new(),
            message: None,
            number: number as u64,
        };
        let mut letters = Letters { events: vec![event], ..Letters::default() };
        self.news.add(&mut letters);
        self.baton.release();
        self.news.tell(&mut letters);
        self.assert_told(number + 1);
    }

    /// A command that looks at what was changed, up to its answer; `tells`: before that it sees to it that all was told.
    fn look(&self, tells: bool) {
        self.baton.acquire();
        let seen = self.changes.count();
        self.baton.release();
        if tells {
            self.news.tell(&mut Letters::default());
        }
        self.assert_told(seen);
    }

    fn assert_told(&self, changes: usize) {
        let told = *self.told.lock().expect("nobody panics with it");
        assert!(told >= changes, "answered before all was told that could be seen");
    }
}

/// Two threads that change something, and one that looks.
fn change_and_look(tells: bool) {
    loom::model(move || {
        let scene = Scene::new();
        let others = [(); 2].map(|()| {
            let scene = Arc::clone(&scene);
            thread::spawn(move || scene.change())
        });
        scene.look(tells);
        others.into_iter().for_each(|other| other.join().expect("a thread ends well"));
        scene.assert_told(2);
    });
}

#[test]
fn nobody_is_answered_what_somebody_has_yet_to_hear_of() {
    change_and_look(true);
}

#[test]
#[should_panic(expected = "answered before all was told that could be seen")]
fn who_has_nothing_to_tell_and_does_not_wait_for_others_is_answered_too_early() {
    change_and_look(false);
}
