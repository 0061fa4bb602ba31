//! Geo indexes, member by member: GEOADD, GEOPOS, GEODIST, GEOHASH. Searches are in `geo_search.rs`.
//!
//! An index is an ordinary sorted set whose scores are geohashes; there is no type of its own, and the commands of sorted
//! sets work on it.

use super::zset;
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::geo::Place;
use sherd_types::number;
use sherd_types::zset::{Change, Rules, ZSet};

pub(super) const GEO: CommandSpec = CommandSpec { group: Group::Geo, since: "3.2.0", ..CommandSpec::DEFAULT };

const UNKNOWN_UNIT: CommandError = CommandError::new("ERR unsupported unit provided. please use M, KM, FT, MI");

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "geoadd",
        summary: "Adds members to a geo index, or moves them. Creates the key if it is not there.",
        history: &[("6.2.0", "`CH`, `NX` and `XX`.")],
        complexity: "O(log(N)) for each member, N being the size of the index",
        arity: -5,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW UPDATE", 1)],
        syntax: "key [NX | XX] [CH] (longitude latitude member) [(longitude latitude member) ...]",
        plane: Plane::Data(geoadd),
        ..GEO
    },
    CommandSpec {
        name: "geopos",
        summary: "Returns longitude and latitude of members of a geo index.",
        complexity: "O(N) in the number of members asked for",
        arity: -2,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key [member [member ...]]",
        plane: Plane::Data(geopos),
        ..GEO
    },
    CommandSpec {
        name: "geodist",
        summary: "Returns the distance between two members of a geo index.",
        arity: -4,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key member1 member2 [M | KM | FT | MI]",
        plane: Plane::Data(geodist),
        ..GEO
    },
    CommandSpec {
        name: "geohash",
        summary: "Returns the geohash strings of members of a geo index.",
        complexity: "O(N) in the number of members asked for",
        arity: -2,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key [member [member ...]]",
        plane: Plane::Data(geohash),
        ..GEO
    },
];

/// Metres in a unit of length.
pub(super) fn unit_meters(word: &[u8]) -> Result<f64, CommandError> {
    [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)]
        .into_iter()
        .find_map(|(name, meters)| args::is(word, name).then_some(meters))
        .ok_or(UNKNOWN_UNIT)
}

/// A place that can be indexed.
pub(super) fn parse_place(longitude: &[u8], latitude: &[u8]) -> Result<Place, CommandError> {
    let place = Place { longitude: args::float(longitude)?, latitude: args::float(latitude)? };
    if place.is_valid() {
        Ok(place)
    } else {
        let Place { longitude, latitude } = place;
        Err(CommandError::with(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
    }
}

/// Writes a distance, which has four decimals in every protocol.
pub(super) fn write_distance(reply: &mut Reply<'_>, distance: f64) {
    let units = (distance * 10_000.0).round_ties_even() as u64;
    let mut text = Vec::with_capacity(number::I64_TEXT_MAX_BYTES + 5);
    number::append_i64(&mut text, (units / 10_000) as i64);
    text.push(b'.');
    text.extend([1000, 100, 10, 1].map(|scale| b'0' + (units / scale % 10) as u8));
    reply.bulk(&text);
}

/// Writes longitude and latitude.
pub(super) fn write_place(reply: &mut Reply<'_>, place: Place) {
    reply.array(2);
    write_coordinate(reply, place.longitude);
    write_coordinate(reply, place.latitude);
}

/// Writes a coordinate as Redis 7 and Valkey do: up to seventeen decimals, the digits that a double really has.
fn write_coordinate(reply: &mut Reply<'_>, degrees: f64) {
    let text = format!("{degrees:.17}");
    reply.double_as(text.trim_end_matches('0').trim_end_matches('.').as_bytes());
}

fn geoadd(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (mut rules, mut count_changed) = (Rules::default(), false);
    let mut options = Options::new(context.args, 2);
    while options.more() {
        if options.take("nx") {
            rules.only_new = true;
        } else if options.take("xx") {
            rules.only_present = true;
        } else if options.take("ch") {
            count_changed = true;
        } else {
            break;
        }
    }
    let triplets = options.rest();
    if triplets.is_empty() || triplets.len() % 3 != 0 || (rules.only_new && rules.only_present) {
        return Err(SYNTAX);
    }
    let places: Vec<Place> =
        triplets.chunks_exact(3).map(|triplet| parse_place(triplet[0], triplet[1])).collect::<Result<_, _>>()?;
    let (key, limits) = (context.key(1), zset::limits(context));
    let set = if rules.only_present { context.write::<ZSet>(&key)? } else { Some(context.upsert::<ZSet>(&key)?) };
    let (mut added, mut moved) = (0, 0);
    if let Some(set) = set {
        for (triplet, place) in triplets.chunks_exact(3).zip(places) {
            match set.update(limits, triplet[2], place.to_score(), rules) {
                Change::Added(_) => added += 1,
                Change::Updated(_) => moved += 1,
                Change::Same(_) | Change::Skipped | Change::NotANumber => {}
            }
        }
    }
    if added + moved > 0 {
        context.changed_by(added + moved, &key, class::ZSET, "zadd");
    }
    reply.count(if count_changed { added + moved } else { added });
    Ok(())
}

fn geopos(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, members) = (context.key(1), &context.args[2..]);
    let set = context.read::<ZSet>(&key)?;
    reply.array(members.len());
    for member in members {
        match set.and_then(|set| set.score(member)) {
            Some(score) => write_place(reply, Place::from_score(score)),
            None => reply.null_array(),
        }
    }
    Ok(())
}

fn geodist(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args) = (context.key(1), context.args);
    let meters = match &args[4..] {
        [] => 1.0,
        [unit] => unit_meters(unit)?,
        _ => return Err(SYNTAX),
    };
    let set = context.read::<ZSet>(&key)?;
    let place = |member: &[u8]| set?.score(member).map(Place::from_score);
    match (place(args[2]), place(args[3])) {
        (Some(from), Some(to)) => write_distance(reply, from.distance_meters(to) / meters),
        _ => reply.null(),
    }
    Ok(())
}

fn geohash(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, members) = (context.key(1), &context.args[2..]);
    let set = context.read::<ZSet>(&key)?;
    reply.array(members.len());
    for member in members {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply.bulk(&Place::from_score(score).to_geohash()),
            None => reply.null(),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/geo.rs"]
mod tests;
