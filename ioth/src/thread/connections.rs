//! A thread's connections by their place, and which of them have something to do.

use crate::connection::token::Token;
use crate::connection::Connection;

/// A place for a connection.
#[derive(Default)]
struct Place {
    /// How often it was used.
    generation: u16,
    connection: Option<Box<Connection>>,
}

/// The connections of one thread.
#[derive(Default)]
pub struct Connections {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Connections with something to do, each once.
    ready: Vec<u32>,
}

impl Connections {
    /// Takes a connection out to work on it; [`Connections::put_back`] follows.
    #[inline]
    pub fn take(&mut self, index: u32) -> Option<Box<Connection>> {
        self.places.get_mut(index as usize)?.connection.take()
    }

    /// Takes the connection out that a token means, if it is still there.
    pub fn take_by_token(&mut self, token: Token) -> Option<Box<Connection>> {
        self.by_token(token)?;
        self.take(token.index)
    }

    /// Puts a connection back.
    #[inline]
    pub fn put_back(&mut self, connection: Box<Connection>) {
        let index = connection.token.index as usize;
        self.places[index].connection = Some(connection);
    }

    /// A free place and its generation; [`Connections::put_back`] or [`Connections::release`] follows.
    pub fn reserve(&mut self) -> (u32, u16) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        place.generation = place.generation.wrapping_add(1);
        (index, place.generation)
    }

    /// Has a place used again.
    pub fn release(&mut self, index: u32) {
        self.free.push(index);
    }

    /// The connection that a token means, if it is still there.
    pub fn by_token(&mut self, token: Token) -> Option<&mut Box<Connection>> {
        self.get_mut(token.index).filter(|connection| connection.token == token)
    }

    /// The connection in a place.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut Box<Connection>> {
        self.places.get_mut(index as usize)?.connection.as_mut()
    }

    /// The places of the connections for which `wanted` says so.
    pub fn indexes_where(&self, wanted: impl Fn(&Connection) -> bool) -> Vec<u32> {
        let hit = |&index: &u32| self.places[index as usize].connection.as_deref().is_some_and(&wanted);
        (0..self.places.len() as u32).filter(hit).collect()
    }

    /// The places that are used.
    pub fn indexes(&self) -> Vec<u32> {
        self.indexes_where(|_| true)
    }

    /// Puts a connection on the list of those with something to do.
    pub fn make_ready(&mut self, index: u32) {
        if let Some(connection) = self.get_mut(index) {
            if !connection.is_ready {
                connection.is_ready = true;
                self.ready.push(index);
            }
        }
    }

    /// The same for a connection that is being worked on: it goes on in the next round.
    pub fn make_ready_again(&mut self, connection: &mut Connection) {
        if !connection.is_ready {
            connection.is_ready = true;
            self.ready.push(connection.token.index);
        }
    }

    /// Whether any connection has something to do.
    pub fn any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the list of those that have something to do; [`Connections::return_list`] follows.
    pub fn take_ready(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.ready)
    }

    /// Takes a list back for its memory, when what was on it is done.
    pub fn return_list(&mut self, mut list: Vec<u32>) {
        if self.ready.is_empty() {
            list.clear();
            self.ready = list;
        }
    }
}
