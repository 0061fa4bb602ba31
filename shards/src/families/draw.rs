//! Drawing elements at random from a collection, as SRANDMEMBER, SPOP and HRANDFIELD do.

use std::collections::HashSet;

use crate::handler::args;
use crate::handler::error::{CommandError, OUT_OF_RANGE};
use sherd_types::random::Random;

/// Draws with repetition that one command may ask for. Redis has no bound and would write the reply until memory is used up.
const REPEATED_DRAWS_MAX: usize = 10_000_000;

/// Below this share of a table, single draws are cheaper than a walk over all of it.
const WALK_SHARE: usize = 3;

/// How many elements a command asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Draw {
    /// At most so many, each once.
    Distinct(usize),
    /// Exactly so many, drawn one by one.
    Repeated(usize),
}

impl Draw {
    /// From a count: negative allows repetition.
    pub fn parse(text: &[u8]) -> Result<Draw, CommandError> {
        let count = args::negatable(text)?;
        Ok(if count < 0 { Draw::Repeated(-count as usize) } else { Draw::Distinct(count as usize) })
    }

    /// How many elements come out of a collection of `length`, or an error if that is beyond all bounds.
    pub fn size(self, length: usize) -> Result<usize, CommandError> {
        match self {
            Draw::Distinct(count) => Ok(count.min(length)),
            Draw::Repeated(count) if count > REPEATED_DRAWS_MAX => Err(OUT_OF_RANGE),
            Draw::Repeated(count) => Ok(count),
        }
    }
}

/// Whether `count` distinct elements of a table of `length` are better found by a walk ([`walk`]) than one by one
/// ([`distinct`]).
pub(super) fn prefers_walk(count: usize, length: usize) -> bool {
    count.saturating_mul(WALK_SHARE) > length
}

/// Visits `count` of the `length` elements of `all`, every choice being equally likely, in the order in which they come:
/// each is taken with the chance (still wanted / still to come).
pub(super) fn walk<T>(
    random: &mut Random,
    count: usize,
    length: usize,
    all: impl Iterator<Item = T>,
    mut visit: impl FnMut(T),
) {
    let mut wanted = count;
    for (index, element) in all.enumerate() {
        if wanted == 0 {
            break;
        }
        if random.below(length - index) < wanted {
            visit(element);
            wanted -= 1;
        }
    }
}

/// Draws elements until `count` different ones have been visited. `draw` returns an element and something that tells it from
/// the others.
pub(super) fn distinct<T, I: Eq + std::hash::Hash>(
    count: usize,
    mut draw: impl FnMut() -> Option<(I, T)>,
    mut visit: impl FnMut(T),
) {
    let mut seen = HashSet::with_capacity(count);
    while seen.len() < count {
        let Some((identity, element)) = draw() else { return };
        if seen.insert(identity) {
            visit(element);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_takes_every_element_equally_often() {
        let mut random = Random::fixed(7);
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            let mut taken = 0;
            walk(&mut random, 3, 10, 0..10, |element: usize| {
                counts[element] += 1;
                taken += 1;
            });
            assert_eq!(taken, 3);
        }
        assert!(counts.iter().all(|count| (2_800..3_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn distinct_draws_never_repeat_an_element() {
        let mut random = Random::fixed(9);
        let mut drawn = Vec::new();
        distinct(5, || Some(random.below(6)).map(|value| (value, value)), |value| drawn.push(value));
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 5);
    }

    #[test]
    fn a_count_that_would_fill_memory_is_refused() {
        assert_eq!(Draw::parse(b"-9223372036854775807").and_then(|draw| draw.size(3)), Err(OUT_OF_RANGE));
        assert_eq!(Draw::parse(b"9223372036854775807").and_then(|draw| draw.size(3)), Ok(3));
    }
}
