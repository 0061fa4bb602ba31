//! Finding the members of a sorted set that lie in a shape.

use super::shape::Shape;
use super::Place;
use crate::zset::ZSet;
use crate::zset_range::{ScoreBound, ScoreRange};

/// Members are read in pieces of this many where the search may end early.
const PIECE_MEMBERS: usize = 64;

/// The order of the points found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they are found: cell by cell, in each by score.
    Found,
    Nearest,
    Farthest,
}

/// A member in the shape.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub score: f64,
    pub place: Place,
    /// Metres from the middle of the shape.
    pub distance: f64,
    member: (usize, usize),
}

/// The points found. Members lie in one buffer: a search over many would spend its time allocating them.
#[derive(Default, Debug)]
pub struct Found {
    points: Vec<Point>,
    members: Vec<u8>,
}

impl Found {
    /// Searches a set; stops after `limit` points (0: no limit).
    pub fn search(set: &ZSet, shape: &Shape, limit: usize) -> Found {
        let mut found = Found::default();
        for cell in shape.cells() {
            let (low, high) = cell.scores();
            let range = ScoreRange {
                min: ScoreBound { score: low, exclusive: false },
                max: ScoreBound { score: high, exclusive: true },
            };
            let ranks = set.ranks_by_score(&range);
            let piece = if limit == 0 { ranks.len().max(1) } else { PIECE_MEMBERS };
            for start in ranks.clone().step_by(piece) {
                let end = ranks.end.min(start + piece);
                set.visit(start..end, false, |member, score| found.consider(shape, member, score, limit));
                if found.is_full(limit) {
                    return found;
                }
            }
        }
        found
    }

    fn is_full(&self, limit: usize) -> bool {
        limit > 0 && self.points.len() >= limit
    }

    #[inline]
    fn consider(&mut self, shape: &Shape, member: &[u8], score: f64, limit: usize) {
        let place = Place::from_score(score);
        let Some(distance) = shape.distance_within(place) else { return };
        if self.is_full(limit) {
            return;
        }
        let start = self.members.len();
        self.members.extend_from_slice(member);
        self.points.push(Point { score, place, distance, member: (start, self.members.len()) });
    }

    pub fn len(&self) -> usize {
        self.points.len()
    }

    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    pub fn points(&self) -> &[Point] {
        &self.points
    }

    pub fn member(&self, point: &Point) -> &[u8] {
        &self.members[point.member.0..point.member.1]
    }

    /// Puts the points in order and keeps the first `count` (0: all). Points at the same distance stay as found.
    pub fn arrange(&mut self, order: Order, count: usize) {
        let kept = if count == 0 { self.points.len() } else { count.min(self.points.len()) };
        let compare = |a: &Point, b: &Point| {
            let by_distance = a.distance.total_cmp(&b.distance);
            let by_distance = if order == Order::Farthest { by_distance.reverse() } else { by_distance };
            by_distance.then(a.member.cmp(&b.member))
        };
        if order != Order::Found {
            if kept > 0 && kept < self.points.len() {
                self.points.select_nth_unstable_by(kept - 1, compare);
                self.points.truncate(kept);
            }
            self.points.sort_unstable_by(compare);
        }
        self.points.truncate(kept);
    }
}
