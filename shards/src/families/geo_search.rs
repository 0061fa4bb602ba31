//! Searching geo indexes: GEOSEARCH, GEORADIUS and their relatives, all of them one command with different spellings.
//!
//! The older commands give middle and radius by position, the newer ones by options; the order of checks differs as well
//! and is kept, because the first error is the one that a client sees.

use super::geo::{parse_place, unit_meters, write_distance, write_place, GEO};
use super::zset::limits;
use super::zset_range::{store_result, Stored};
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, Begin, CommandSpec, Find, KeySpec, Plane};
use sherd_types::geo::search::{Found, Order};
use sherd_types::geo::shape::{Outline, Shape};
use sherd_types::geo::Place;
use sherd_types::number;
use sherd_types::zset::{Limits, ZSet};
use sherd_types::zset_algebra::Builder;

const NO_SUCH_MEMBER: CommandError = CommandError::new("ERR could not decode requested zset member");
const RADIUS_NOT_NUMBER: CommandError = CommandError::new("ERR need numeric radius");
const RADIUS_NEGATIVE: CommandError = CommandError::new("ERR radius cannot be negative");
const WIDTH_NOT_NUMBER: CommandError = CommandError::new("ERR need numeric width");
const HEIGHT_NOT_NUMBER: CommandError = CommandError::new("ERR need numeric height");
const BOX_NEGATIVE: CommandError = CommandError::new("ERR height or width cannot be negative");
const VERTICES_NOT_NUMBER: CommandError = CommandError::new("ERR invalid number of vertices");
const TOO_FEW_VERTICES: CommandError = CommandError::new("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");
const COUNT_NOT_POSITIVE: CommandError = CommandError::new("ERR COUNT must be > 0");
const ANY_WITHOUT_COUNT: CommandError = CommandError::new("ERR the ANY argument requires COUNT argument");

const STORE_WITH_OPTIONS: CommandError =
    CommandError::new("ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
const RADIUS_STORE_WITH_OPTIONS: CommandError =
    CommandError::new("ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options");

const SEARCH_COMPLEXITY: &str =
    "O(N+log(M)), N members in the cells of the grid around the shape, M members in the shape";
const RADIUS_SYNTAX: &str = "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                             [COUNT count [ANY]] [ASC | DESC]";
const MEMBER_SYNTAX: &str =
    "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]";

const fn key_behind(word: &'static str, from: i16) -> KeySpec {
    let find = Find::Range { last: 0, step: 1, limit: 0 };
    KeySpec { flags: "OW UPDATE", begin: Begin::Keyword(word, from), find }
}

const SEARCH: CommandSpec = CommandSpec { complexity: SEARCH_COMPLEXITY, ..GEO };
const READING: CommandSpec = CommandSpec { flags: READONLY, keys: &[one_key("RO ACCESS", 1)], ..SEARCH };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "georadius",
        summary: "Returns the members of a geo index within a distance from a place, or stores them.",
        history: &[("6.2.0", "`ANY` with `COUNT`."), ("7.0.0", "Units in capital letters.")],
        deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")),
        arity: -6,
        flags: WRITE | DENYOOM | MOVABLE_KEYS,
        keys: &[one_key("RO ACCESS", 1), key_behind("STORE", 6), key_behind("STOREDIST", 6)],
        find_keys: Some(radius_keys),
        tell_flags: Some(|_, at| if at == 1 { "RO ACCESS" } else { "OW UPDATE" }),
        syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
        plane: Plane::Data(georadius),
        ..SEARCH
    },
    CommandSpec {
        name: "georadius_ro",
        summary: "Returns the members of a geo index within a distance from a place.",
        since: "3.2.10",
        history: &[("6.2.0", "`ANY` with `COUNT`."), ("7.0.0", "Units in capital letters.")],
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")),
        arity: -6,
        syntax: RADIUS_SYNTAX,
        plane: Plane::Data(georadius_ro),
        ..READING
    },
    CommandSpec {
        name: "georadiusbymember",
        summary: "Returns the members of a geo index within a distance from a member, or stores them.",
        history: &[("6.2.0", "`ANY` with `COUNT`."), ("7.0.0", "Units in capital letters.")],
        deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments")),
        arity: -5,
        flags: WRITE | DENYOOM | MOVABLE_KEYS,
        keys: &[one_key("RO ACCESS", 1), key_behind("STORE", 5), key_behind("STOREDIST", 5)],
        find_keys: Some(radius_keys),
        tell_flags: Some(|_, at| if at == 1 { "RO ACCESS" } else { "OW UPDATE" }),
        syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] \
                 [ASC | DESC] [STORE key | STOREDIST key]",
        plane: Plane::Data(georadiusbymember),
        ..SEARCH
    },
    CommandSpec {
        name: "georadiusbymember_ro",
        summary: "Returns the members of a geo index within a distance from a member.",
        since: "3.2.10",
        history: &[("6.2.0", "`ANY` with `COUNT`."), ("7.0.0", "Units in capital letters.")],
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")),
        arity: -5,
        syntax: MEMBER_SYNTAX,
        plane: Plane::Data(georadiusbymember_ro),
        ..READING
    },
    CommandSpec {
        name: "geosearch",
        summary: "Returns the members of a geo index in a circle, a box or a polygon.",
        since: "6.2.0",
        history: &[("7.0.0", "Units in capital letters."), ("9.0.0", "Valkey: `BYPOLYGON`.")],
        arity: -7,
        syntax: "key [FROMMEMBER member | FROMLONLAT longitude latitude] (BYRADIUS radius <M | KM | FT | MI> | \
                 BYBOX width height <M | KM | FT | MI> | BYPOLYGON num-vertices longitude latitude \
                 [longitude latitude ...]) [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        plane: Plane::Data(geosearch),
        ..READING
    },
    CommandSpec {
        name: "geosearchstore",
        summary: "Stores the members of a geo index in a circle, a box or a polygon under another key.",
        since: "6.2.0",
        history: &[("7.0.0", "Units in capital letters."), ("9.0.0", "Valkey: `BYPOLYGON`.")],
        arity: -8,
        flags: WRITE | DENYOOM,
        keys: &[one_key("OW UPDATE", 1), one_key("RO ACCESS", 2)],
        syntax: "destination source [FROMMEMBER member | FROMLONLAT longitude latitude] \
                 (BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI> | \
                 BYPOLYGON num-vertices longitude latitude [longitude latitude ...]) [ASC | DESC] \
                 [COUNT count [ANY]] [STOREDIST]",
        plane: Plane::Data(geosearchstore),
        ..SEARCH
    },
];

/// The source and the key behind the last STORE or STOREDIST.
fn radius_keys(args: &[&[u8]]) -> Vec<usize> {
    let mut keys = vec![1];
    let mut at = 5;
    while at + 1 < args.len() {
        if args::is(args[at], "store") || args::is(args[at], "storedist") {
            keys.truncate(1);
            keys.push(at + 1);
            at += 1;
        }
        at += 1;
    }
    keys
}

/// Where the middle comes from by a command's name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Argument 2 and 3 are a place, argument 4 the radius.
    Place,
    /// Argument 2 is a member, argument 3 the radius.
    Member,
    /// The options tell.
    Options,
}

/// What a command's name says already.
#[derive(Clone, Copy)]
struct Command {
    form: Form,
    /// STORE and STOREDIST with a key are options.
    may_store: bool,
    /// The argument before the source is the destination.
    stores: bool,
}

/// What was said of the middle so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Middle {
    Unsaid,
    /// The command's name, or the polygon, implies one.
    Implied,
    Member,
    Place,
}

/// A search with its arguments read.
struct Query<'a> {
    said: Middle,
    /// `None` also where it is a member of a set that is not there.
    middle: Option<Place>,
    outline: Option<Outline>,
    /// Metres in the unit in which distances are told.
    unit: f64,
    order: Order,
    count: usize,
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    store: Option<&'a [u8]>,
    store_distances: bool,
}

fn place_of(set: &ZSet, member: &[u8]) -> Result<Place, CommandError> {
    set.score(member).map(Place::from_score).ok_or(NO_SUCH_MEMBER)
}

impl<'a> Query<'a> {
    fn parse(args: &'a [&'a [u8]], set: Option<&ZSet>, command: Command) -> Result<Query<'a>, CommandError> {
        let mut query = Query {
            said: if command.form == Form::Options { Middle::Unsaid } else { Middle::Implied },
            middle: None,
            outline: None,
            unit: 1.0,
            order: Order::Found,
            count: 0,
            any: false,
            with_distance: false,
            with_hash: false,
            with_place: false,
            store: command.stores.then(|| args[1]),
            store_distances: false,
        };
        let first_option = query.parse_positions(args, set, command)?;
        let mut options = Options::new(args, first_option);
        while options.more() {
            let taken = query.take_common(&mut options)?
                || query.take_destination(&mut options, command)
                || (command.form == Form::Options
                    && (query.take_middle(&mut options, set)? || query.take_outline(&mut options)?));
            if !taken {
                return Err(SYNTAX);
            }
        }
        query.check(args[0], command)?;
        if query.order == Order::Found && query.count > 0 && !query.any {
            query.order = Order::Nearest;
        }
        Ok(query)
    }

    /// Reads middle and radius where they have fixed positions; returns where the options begin.
    fn parse_positions(&mut self, args: &[&[u8]], set: Option<&ZSet>, command: Command) -> Result<usize, CommandError> {
        let (radius, unit, first_option) = match (command.form, set) {
            (Form::Options, _) => return Ok(if command.stores { 3 } else { 2 }),
            (Form::Place, _) => {
                self.middle = Some(parse_place(args[2], args[3])?);
                (args[4], args[5], 6)
            }
            (Form::Member, Some(set)) => {
                self.middle = Some(place_of(set, args[2])?);
                (args[3], args[4], 5)
            }
            // Without a set Redis does not even look at the radius.
            (Form::Member, None) => return Ok(5),
        };
        self.set_radius(radius, unit)?;
        Ok(first_option)
    }

    fn take_common(&mut self, options: &mut Options<'a>) -> Result<bool, CommandError> {
        if options.take("withdist") {
            self.with_distance = true;
        } else if options.take("withhash") {
            self.with_hash = true;
        } else if options.take("withcoord") {
            self.with_place = true;
        } else if options.take("any") {
            self.any = true;
        } else if options.take("asc") {
            self.order = Order::Nearest;
        } else if options.take("desc") {
            self.order = Order::Farthest;
        } else if let Some(count) = options.take_value("count") {
            let count = args::integer(count)?;
            if count <= 0 {
                return Err(COUNT_NOT_POSITIVE);
            }
            self.count = count as usize;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn take_destination(&mut self, options: &mut Options<'a>, command: Command) -> bool {
        if command.stores {
            let taken = options.take("storedist");
            self.store_distances |= taken;
            return taken;
        }
        for (word, distances) in [("store", false), ("storedist", true)] {
            if let Some(key) = command.may_store.then(|| options.take_value(word)).flatten() {
                (self.store, self.store_distances) = (Some(key), distances);
                return true;
            }
        }
        false
    }

    /// FROMMEMBER and FROMLONLAT: each may be repeated, but not mixed.
    fn take_middle(&mut self, options: &mut Options<'a>, set: Option<&ZSet>) -> Result<bool, CommandError> {
        let may_be = |middle: Middle| self.said == Middle::Unsaid || self.said == middle;
        if may_be(Middle::Member) && options.left() >= 2 && options.take("frommember") {
            let member = options.value()?;
            self.middle = set.map(|set| place_of(set, member)).transpose()?;
            self.said = Middle::Member;
        } else if may_be(Middle::Place) && options.left() >= 3 && options.take("fromlonlat") {
            self.middle = Some(parse_place(options.value()?, options.value()?)?);
            self.said = Middle::Place;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// BYRADIUS, BYBOX and BYPOLYGON: each may be repeated, but not mixed.
    fn take_outline(&mut self, options: &mut Options<'a>) -> Result<bool, CommandError> {
        let outline = self.outline.as_ref();
        if matches!(outline, None | Some(Outline::Circle { .. })) && options.left() >= 3 && options.take("byradius") {
            self.set_radius(options.value()?, options.value()?)?;
        } else if matches!(outline, None | Some(Outline::Rectangle { .. }))
            && options.left() >= 4
            && options.take("bybox")
        {
            self.set_box(options.value()?, options.value()?, options.value()?)?;
        } else if matches!(outline, None | Some(Outline::Polygon(_)))
            && matches!(self.said, Middle::Unsaid | Middle::Implied)
            && options.left() >= 3
            && options.take("bypolygon")
        {
            self.set_polygon(options)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn set_radius(&mut self, radius: &[u8], unit: &[u8]) -> Outcome {
        let radius = number::parse_f64(radius).ok_or(RADIUS_NOT_NUMBER)?;
        if radius < 0.0 {
            return Err(RADIUS_NEGATIVE);
        }
        self.unit = unit_meters(unit)?;
        self.outline = Some(Outline::Circle { radius: radius * self.unit });
        Ok(())
    }

    fn set_box(&mut self, width: &[u8], height: &[u8], unit: &[u8]) -> Outcome {
        let width = number::parse_f64(width).ok_or(WIDTH_NOT_NUMBER)?;
        let height = number::parse_f64(height).ok_or(HEIGHT_NOT_NUMBER)?;
        if width < 0.0 || height < 0.0 {
            return Err(BOX_NEGATIVE);
        }
        self.unit = unit_meters(unit)?;
        self.outline = Some(Outline::Rectangle { width: width * self.unit, height: height * self.unit });
        Ok(())
    }

    /// Distances are in metres then: a polygon has no unit.
    fn set_polygon(&mut self, options: &mut Options<'a>) -> Outcome {
        let vertices = number::parse_i64(options.value()?).and_then(|number| i32::try_from(number).ok());
        let vertices = vertices.ok_or(VERTICES_NOT_NUMBER)?;
        if vertices < 3 || vertices as usize > options.left() / 2 {
            return Err(TOO_FEW_VERTICES);
        }
        let places = (0..vertices).map(|_| parse_place(options.value()?, options.value()?));
        self.outline = Some(Outline::Polygon(places.collect::<Result<_, _>>()?));
        (self.said, self.unit) = (Middle::Implied, 1.0);
        Ok(())
    }

    fn check(&self, name: &[u8], command: Command) -> Outcome {
        let exactly_one = |of: &str| {
            Err(CommandError::with(format!("ERR exactly one of {of} can be specified for {}", name.escape_ascii())))
        };
        if self.store.is_some() && (self.with_distance || self.with_hash || self.with_place) {
            return Err(if command.stores { STORE_WITH_OPTIONS } else { RADIUS_STORE_WITH_OPTIONS });
        }
        if self.said == Middle::Unsaid {
            return exactly_one("FROMMEMBER or FROMLONLAT");
        }
        if command.form == Form::Options && self.outline.is_none() {
            return exactly_one("BYRADIUS and BYBOX");
        }
        if self.any && self.count == 0 {
            return Err(ANY_WITHOUT_COUNT);
        }
        Ok(())
    }

    fn shape(&mut self) -> Option<Shape> {
        match (self.outline.take()?, self.middle) {
            (Outline::Polygon(vertices), _) => Some(Shape::polygon(vertices)),
            (outline, Some(middle)) => Some(Shape::around(middle, outline)),
            _ => None,
        }
    }

    fn write(&self, reply: &mut Reply<'_>, found: &Found) {
        let details = [self.with_distance, self.with_hash, self.with_place].into_iter().filter(|&with| with).count();
        reply.array(found.len());
        for point in found.points() {
            if details > 0 {
                reply.array(1 + details);
            }
            reply.bulk(found.member(point));
            if self.with_distance {
                write_distance(reply, point.distance / self.unit);
            }
            if self.with_hash {
                reply.int(point.score as i64);
            }
            if self.with_place {
                write_place(reply, point.place);
            }
        }
    }

    fn collect(&self, found: &Found, limits: Limits) -> ZSet {
        let mut builder = Builder::with_capacity(found.len());
        for point in found.points() {
            let score = if self.store_distances { point.distance / self.unit } else { point.score };
            builder.add(found.member(point), score);
        }
        builder.finish(limits)
    }
}

fn search(context: &mut Context<'_>, reply: &mut Reply<'_>, command: Command) -> Outcome {
    let (args, limits) = (context.args, limits(context));
    let source = context.key(if command.stores { 2 } else { 1 });
    let set = context.read::<ZSet>(&source)?;
    let mut query = Query::parse(args, set, command)?;
    let mut found = match (set, query.shape()) {
        (Some(set), Some(shape)) => Found::search(set, &shape, if query.any { query.count } else { 0 }),
        _ => Found::default(),
    };
    found.arrange(query.order, query.count);
    match query.store {
        Some(destination) => {
            let event = if command.stores { "geosearchstore" } else { "georadiusstore" };
            let destination = context.key_of(destination);
            let result = query.collect(&found, limits);
            let stored = Stored { changes: result.len(), result, event };
            store_result(context, reply, &destination, stored);
        }
        None => query.write(reply, &found),
    }
    Ok(())
}

fn georadius(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(context, reply, Command { form: Form::Place, may_store: true, stores: false })
}

fn georadius_ro(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(context, reply, Command { form: Form::Place, may_store: false, stores: false })
}

fn georadiusbymember(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(context, reply, Command { form: Form::Member, may_store: true, stores: false })
}

fn georadiusbymember_ro(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(context, reply, Command { form: Form::Member, may_store: false, stores: false })
}

fn geosearch(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(context, reply, Command { form: Form::Options, may_store: false, stores: false })
}

fn geosearchstore(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    search(context, reply, Command { form: Form::Options, may_store: false, stores: true })
}

#[cfg(test)]
#[path = "tests/geo_search.rs"]
mod tests;
