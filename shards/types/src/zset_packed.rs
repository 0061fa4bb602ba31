//! The small encoding of a sorted set: members and scores alternate in one listpack, in the set's order.
//!
//! The bytes are the ones Redis writes, since RDB files and DUMP carry them as they are: an integral score is an integer
//! entry (so -0 becomes 0), any other the shortest text that reads back the same.

use super::listpack::{Encoded, Item, Listpack, Position};
use super::number::{self, F64Buffer, F64_TEXT_MAX_BYTES, I64_TEXT_MAX_BYTES};
use super::zset_range::{LexRange, ScoreRange};
use std::ops::Range;

/// Entries a member takes in the listpack.
const PAIR: usize = 2;
/// Largest magnitude of a score that is stored as an integer.
const INTEGER_SCORE_MAX: f64 = (1u64 << 62) as f64;

/// Places a search looks at before it walks; more would cost stack, fewer more parsing.
const SAMPLES_MAX: usize = 64;

/// One member with its score, which is parsed only when asked for; the position is that of the member.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    pub position: Position,
    pub member: Item<'a>,
    score: Item<'a>,
}

impl Pair<'_> {
    pub fn score(&self) -> f64 {
        parse_score(self.score).unwrap_or(0.0)
    }

    fn is_before(&self, score: f64, member: &[u8]) -> bool {
        let own = self.score();
        own < score || (own == score && *self.member.as_bytes(&mut [0; I64_TEXT_MAX_BYTES]) < *member)
    }
}

/// The score an entry holds; `None` if it is no number, which only a foreign file can contain.
fn parse_score(item: Item<'_>) -> Option<f64> {
    match item {
        Item::Int(value) => Some(value as f64),
        Item::Str(text) => std::str::from_utf8(text).ok()?.parse().ok().filter(|score: &f64| !score.is_nan()),
    }
}

pub fn encode_score(score: f64, buffer: &mut F64Buffer) -> Encoded<'_> {
    let integer = score as i64;
    if score.abs() <= INTEGER_SCORE_MAX && integer as f64 == score {
        return Encoded::from(integer);
    }
    Encoded::from(number::format_f64(score, buffer))
}

/// Whether the listpack is a sorted set as this module writes it: pairs with readable scores, in strict order.
pub fn is_well_formed(list: &Listpack) -> bool {
    let readable = list.iter().skip(1).step_by(PAIR).all(|score| parse_score(score).is_some());
    let mut previous: Option<Pair<'_>> = None;
    let in_order = pairs(list).all(|pair| {
        let member = pair.member.to_vec();
        let after = previous.is_none_or(|previous| previous.is_before(pair.score(), &member));
        previous = Some(pair);
        after
    });
    list.len() % PAIR == 0 && readable && in_order
}

pub fn len(list: &Listpack) -> usize {
    list.len() / PAIR
}

/// The pairs in order.
pub fn pairs(list: &Listpack) -> impl Iterator<Item = Pair<'_>> {
    let mut items = list.iter();
    std::iter::from_fn(move || {
        let position = items.position()?;
        let (member, score) = (items.next()?, items.next()?);
        Some(Pair { position, member, score })
    })
}

pub fn find<'a>(list: &'a Listpack, member: &[u8]) -> Option<Pair<'a>> {
    pair_at(list, list.find(member, 1)?)
}

fn pair_at(list: &Listpack, position: Position) -> Option<Pair<'_>> {
    let score = list.get(list.next(position)?);
    Some(Pair { position, member: list.get(position), score })
}

/// Inserts a member that is not in the list at its place.
pub fn insert(list: &mut Listpack, member: &[u8], score: f64) {
    let mut buffer = [0; F64_TEXT_MAX_BYTES];
    let values = [Encoded::from(member), encode_score(score, &mut buffer)];
    match place_for(list, member, score) {
        Some(position) => {
            list.insert_before(position, &values);
        }
        None => list.append(&values),
    }
}

/// The position to insert before, or `None` for the end, which is looked at first since ascending loads are common.
fn place_for(list: &Listpack, member: &[u8], score: f64) -> Option<Position> {
    let last = list.seek(-(PAIR as i64)).and_then(|position| pair_at(list, position))?;
    if last.is_before(score, member) {
        return None;
    }
    Samples::of(list)?.partition(list, |pair| pair.is_before(score, member)).1
}

/// Gives a present member a new score, in place if it keeps its neighbours.
pub fn change_score(list: &mut Listpack, position: Position, member: &[u8], score: f64) {
    let step_back = |at| list.previous(at);
    let previous = step_back(position).and_then(step_back).and_then(|at| pair_at(list, at));
    let Some(score_position) = list.next(position) else { return };
    let next = list.next(score_position).and_then(|at| pair_at(list, at));
    let stays = previous.is_none_or(|previous| previous.is_before(score, member))
        && next.is_none_or(|next| !next.is_before(score, member));
    if stays {
        list.replace(score_position, encode_score(score, &mut [0; F64_TEXT_MAX_BYTES]));
    } else {
        remove(list, position);
        insert(list, member, score);
    }
}

/// Positions of pairs at equal distances. Stepping over entries is far cheaper than parsing scores: one walk notes the
/// positions, searches by score then test a few of them.
struct Samples {
    positions: [Position; SAMPLES_MAX],
    count: usize,
    stride: usize,
}

impl Samples {
    /// `None` for an empty list.
    fn of(list: &Listpack) -> Option<Samples> {
        let first = list.first()?;
        let stride = len(list).div_ceil(SAMPLES_MAX);
        let mut samples = Samples { positions: [first; SAMPLES_MAX], count: 1, stride };
        let mut position = first;
        loop {
            for _ in 0..stride * PAIR {
                match list.next(position) {
                    Some(next) => position = next,
                    None => return Some(samples),
                }
            }
            samples.positions[samples.count] = position;
            samples.count += 1;
        }
    }

    /// Number of pairs that pass the test, which holds for the first ones only, and the position of the one after them.
    fn partition(&self, list: &Listpack, test: impl Fn(&Pair<'_>) -> bool) -> (usize, Option<Position>) {
        let passes = |&at: &Position| pair_at(list, at).is_some_and(|pair| test(&pair));
        let Some(start) = self.positions[..self.count].partition_point(passes).checked_sub(1) else {
            return (0, Some(self.positions[0]));
        };
        let mut total = start * self.stride;
        let mut next = Some(self.positions[start]);
        while let Some(pair) = next.and_then(|at| pair_at(list, at)).filter(&test) {
            total += 1;
            next = list.next(pair.position).and_then(|at| list.next(at));
        }
        (total, next)
    }
}

/// Adds a member that belongs at the end.
pub fn append(list: &mut Listpack, member: &[u8], score: f64) {
    list.append(&[Encoded::from(member), encode_score(score, &mut [0; F64_TEXT_MAX_BYTES])]);
}

pub fn remove(list: &mut Listpack, position: Position) {
    list.delete_range(position, PAIR);
}

pub fn rank(list: &Listpack, position: Position) -> usize {
    std::iter::successors(list.first(), |&at| list.next(at)).take_while(|&at| at < position).count() / PAIR
}

pub fn ranks_by_score(list: &Listpack, range: &ScoreRange) -> Range<usize> {
    let Some(samples) = Samples::of(list) else { return 0..0 };
    let (start, _) = samples.partition(list, |pair| range.is_below(pair.score()));
    let (end, _) = samples.partition(list, |pair| !range.is_above(pair.score()));
    start..end.max(start)
}

/// As Redis walks it, so that even a set with different scores gives the same answer: from the first member that is not
/// below (last that is not above) to the one before the first that is outside.
pub fn ranks_by_lex(list: &Listpack, range: &LexRange<'_>, reverse: bool) -> Range<usize> {
    let text = |pair: &Pair<'_>, test: &dyn Fn(&[u8]) -> bool| test(pair.member.as_bytes(&mut [0; I64_TEXT_MAX_BYTES]));
    let below = |pair: &Pair<'_>| text(pair, &|member| range.is_below(member));
    let above = |pair: &Pair<'_>| text(pair, &|member| range.is_above(member));
    if reverse {
        let end = pairs(list).enumerate().filter(|(_, pair)| !above(pair)).last().map_or(0, |(index, _)| index + 1);
        let outside = pairs(list).take(end).enumerate().filter(|(_, pair)| below(pair)).last();
        return outside.map_or(0, |(index, _)| index + 1)..end;
    }
    let start = pairs(list).take_while(below).count();
    let inside = pairs(list).skip(start).take_while(|pair| !above(pair)).count();
    start..start + inside
}

/// Calls with the pairs of the ranks, in ascending or descending order.
pub fn visit(list: &Listpack, ranks: Range<usize>, reverse: bool, mut visit: impl FnMut(&[u8], f64)) {
    let count = ranks.len();
    if count == 0 {
        return;
    }
    let mut buffer = [0; I64_TEXT_MAX_BYTES];
    let mut position = list.seek((if reverse { ranks.end - 1 } else { ranks.start } * PAIR) as i64);
    for _ in 0..count {
        let Some(pair) = position.and_then(|at| pair_at(list, at)) else { return };
        visit(pair.member.as_bytes(&mut buffer), pair.score());
        let step = |at| if reverse { list.previous(at) } else { list.next(at) };
        position = step(pair.position).and_then(step);
    }
}

pub fn remove_ranks(list: &mut Listpack, ranks: Range<usize>) {
    list.delete_range_index((ranks.start * PAIR) as i64, ranks.len() * PAIR);
}
