//! SORT and SORT_RO over lists, sets and sorted sets.
//!
//! The elements are copied out first: BY and GET may look at any key, and STORE may overwrite the one that is sorted.
//! As the arguments do not tell the keys of BY and GET before the elements are known, every shard is held where there are
//! any; else those of the key and of STORE. With LIMIT only as many elements are put in order as are wanted.
//!
//! Elements that compare equal stay in the order they had (Redis leaves it open), texts are compared by their bytes.

use std::cmp::Ordering;
use std::ops::Range;

use crate::command::category;
use crate::command::registry;
use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome, SYNTAX, WRONG_TYPE};
use crate::families::list::node_limit;
use crate::families::sort_pattern::{is_in_slot, names_keys, Pattern};
use crate::families::timed_access;
use crate::keyspace::events::class;
use crate::entry::object::ObjectRef;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, Begin, CommandSpec, Find, Group, KeySpec, Plane};
use sherd_types::list::{End, List};
use sherd_types::number::I64Buffer;
use sherd_types::set::Set;

const UNKNOWN_READ: KeySpec = KeySpec { flags: "RO ACCESS", begin: Begin::Unknown, find: Find::Unknown };
const SORT: CommandSpec = CommandSpec {
    complexity: "O(N+M*log(M)) for N elements of which M are returned",
    group: Group::Generic,
    categories: category::SET.with(category::SORTED_SET).with(category::LIST).with(category::DANGEROUS),
    arity: -2,
    tell_flags: Some(|_, at| if at == 1 { "RO ACCESS" } else { "OW UPDATE" }),
    reaches_beyond: Some(reaches_beyond),
    ..CommandSpec::DEFAULT
};

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "sort",
        summary:
            "Sorts the elements of a list, a set or a sorted set, by themselves or by other keys, and may store them.",
        flags: WRITE | DENYOOM | MOVABLE_KEYS,
        keys: &[
            one_key("RO ACCESS", 1),
            UNKNOWN_READ,
            KeySpec { flags: "OW UPDATE", begin: Begin::Unknown, find: Find::Unknown },
        ],
        syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] \
                 [STORE destination]",
        find_keys: Some(find_sort_keys),
        plane: Plane::Data(sort),
        ..SORT
    },
    CommandSpec {
        name: "sort_ro",
        summary: "Sorts the elements of a list, a set or a sorted set, by themselves or by other keys.",
        since: "7.0.0",
        flags: READONLY | MOVABLE_KEYS,
        keys: &[one_key("RO ACCESS", 1), UNKNOWN_READ],
        syntax: "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
        find_keys: Some(|_| vec![1]),
        plane: Plane::Data(sort),
        ..SORT
    },
];

const NOT_NUMBERS: CommandError = CommandError::new("ERR One or more scores can't be converted into double");
const BY_IN_CLUSTER: CommandError = CommandError::new(
    "ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.",
);
const BY_DENIED: CommandError =
    CommandError::new("ERR BY option of SORT denied due to insufficient ACL permissions.");
const GET_DENIED: CommandError =
    CommandError::new("ERR GET option of SORT denied due to insufficient ACL permissions.");
const GET_IN_CLUSTER: CommandError = CommandError::new(
    "ERR GET option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.",
);

/// The keys that the arguments tell: the one that is sorted, and where it is stored.
fn find_sort_keys(args: &[&[u8]]) -> Vec<usize> {
    let mut keys = vec![1];
    let mut options = Options::new(args, 2);
    let mut target = None;
    while options.more() {
        if options.take("LIMIT") {
            let _ = (options.value(), options.value());
        } else if options.take_value("STORE").is_some() {
            target = Some(options.position() - 1);
        } else if options.take_value("GET").is_none() && options.take_value("BY").is_none() {
            let _ = options.value();
        }
    }
    keys.extend(target);
    keys
}

/// Whether BY or GET has a pattern that names keys. A word that is not one of these but looks like it costs shards only.
fn reaches_beyond(args: &[&[u8]]) -> bool {
    let options = args.get(2..).unwrap_or_default();
    options.windows(2).any(|pair| (args::is(pair[0], "BY") || args::is(pair[0], "GET")) && names_keys(pair[1]))
}

/// The options of SORT.
struct SortOptions<'a> {
    descending: bool,
    alphabetic: bool,
    by: Option<Pattern<'a>>,
    get: Vec<Pattern<'a>>,
    offset: i64,
    /// Negative is all.
    count: i64,
    /// The argument that names the key.
    store: Option<usize>,
}

impl<'a> SortOptions<'a> {
    fn parse(context: &Context<'a>) -> Result<Self, CommandError> {
        let mut parsed = SortOptions {
            descending: false,
            alphabetic: false,
            by: None,
            get: Vec::new(),
            offset: 0,
            count: -1,
            store: None,
        };
        let slot = context.settings().cluster_enabled.on().then(|| context.key(1).slot);
        let may_read_any = registry::may_read_beyond(context);
        let mut options = Options::new(context.args, 2);
        while options.more() {
            if options.take("ASC") {
                parsed.descending = false;
            } else if options.take("DESC") {
                parsed.descending = true;
            } else if options.take("ALPHA") {
                parsed.alphabetic = true;
            } else if options.left() >= 3 && options.take("LIMIT") {
                parsed.offset = args::integer(options.value()?)?;
                parsed.count = args::integer(options.value()?)?;
            } else if let Some(text) = options.take_value("BY") {
                let pattern = Pattern::new(text);
                if matches!(pattern, Pattern::Value { .. }) && slot.is_some_and(|slot| !is_in_slot(text, slot)) {
                    return Err(BY_IN_CLUSTER);
                }
                if matches!(pattern, Pattern::Value { .. }) && !may_read_any {
                    return Err(BY_DENIED);
                }
                parsed.by = Some(pattern);
            } else if let Some(text) = options.take_value("GET") {
                if text != b"#" && slot.is_some_and(|slot| !is_in_slot(text, slot)) {
                    return Err(GET_IN_CLUSTER);
                }
                if !may_read_any {
                    return Err(GET_DENIED);
                }
                parsed.get.push(Pattern::new(text));
            } else if context.spec.has(WRITE) && options.take_value("STORE").is_some() {
                parsed.store = Some(options.position() - 1);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(parsed)
    }

    /// Whether the elements stay in the order that they have: BY names no key.
    fn keeps_order(&self) -> bool {
        self.by.as_ref().is_some_and(|pattern| !matches!(pattern, Pattern::Value { .. }))
    }

    /// The part of so many elements that LIMIT asks for.
    fn window(&self, length: usize) -> Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(0).min(length);
        let end = usize::try_from(self.count).map_or(length, |count| start.saturating_add(count).min(length));
        start..end
    }
}

/// Copies of elements, one behind the other.
#[derive(Default)]
struct Elements {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Elements {
    fn push(&mut self, element: &[u8]) {
        self.bytes.extend_from_slice(element);
        self.ends.push(self.bytes.len());
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

/// What elements are compared by.
enum Weights {
    /// Their bytes.
    Own,
    /// Numbers; the bytes decide between equal ones.
    Numbers(Vec<f64>),
    /// Texts of other keys; none comes first.
    Texts(Vec<Option<Vec<u8>>>),
}

fn sort(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut options = SortOptions::parse(context)?;
    let key = context.key(1);
    let now = timed_access::now(context);
    let due = match context.get(&key) {
        None => false,
        Some(entry) => match entry.object().ok_or(WRONG_TYPE)? {
            ObjectRef::Set(set) => set.is_due(now),
            _ => false,
        },
    };
    // Clients are paused: nothing is removed.
    let copy = (due && context.keeps_expired()).then(|| timed_access::without_expired::<Set>(context, &key));
    if due && copy.is_none() {
        timed_access::expire_all::<Set>(context, &key);
    }
    let object = context.peek(&key).and_then(|entry| entry.object());
    if options.keeps_order()
        && matches!(object, Some(ObjectRef::Set(_)))
        && (options.store.is_some() || context.origin.wants_an_order())
    {
        // A set has no order to keep, but what is stored or computed on must not be arbitrary.
        options.by = None;
        options.alphabetic = true;
    }
    let object = match &copy {
        Some(copy) => copy.as_ref().map(ObjectRef::Set),
        None => context.peek(&key).and_then(|entry| entry.object()),
    };
    let (elements, order) = if options.keeps_order() {
        let elements = load_window(object, &options)?;
        let order = (0..elements.len()).collect();
        (elements, order)
    } else {
        let elements = load(object, false, 0..usize::MAX)?;
        let weights = weigh(context, &elements, &options)?;
        let order = put_in_order(&elements, &weights, &options);
        (elements, order)
    };
    match options.store {
        None => write(context, reply, &elements, &order, &options.get),
        Some(target) => store(context, reply, &elements, &order, &options.get, target),
    }
    Ok(())
}

/// The elements that LIMIT asks for, in the order that they have; DESC turns it round where there is one.
fn load_window(object: Option<ObjectRef<'_>>, options: &SortOptions<'_>) -> Result<Elements, CommandError> {
    let length = object.map_or(0, ObjectRef::element_count);
    load(object, options.descending, options.window(length))
}

/// The elements of a part of a collection.
fn load(object: Option<ObjectRef<'_>>, reverse: bool, part: Range<usize>) -> Result<Elements, CommandError> {
    let mut elements = Elements::default();
    let mut buffer = I64Buffer::default();
    let Some(object) = object else { return Ok(elements) };
    let length = object.element_count();
    let part = part.start.min(length)..part.end.min(length);
    match object {
        ObjectRef::List(list) if reverse && !part.is_empty() => {
            for item in list.iter_from(length - 1 - part.start, End::Front).take(part.len()) {
                elements.push(item.as_bytes(&mut buffer));
            }
        }
        ObjectRef::List(list) => {
            for item in list.iter_from(part.start, End::Back).take(part.len()) {
                elements.push(item.as_bytes(&mut buffer));
            }
        }
        ObjectRef::Set(set) => {
            for item in set.iter().skip(part.start).take(part.len()) {
                elements.push(item.as_bytes(&mut buffer));
            }
        }
        ObjectRef::SortedSet(zset) => {
            let ranks = if reverse { length - part.end..length - part.start } else { part };
            zset.visit(ranks, reverse, |member, _| elements.push(member));
        }
        _ => return Err(WRONG_TYPE),
    }
    Ok(elements)
}

/// Finds what the elements are compared by.
fn weigh(context: &mut Context<'_>, elements: &Elements, options: &SortOptions<'_>) -> Result<Weights, CommandError> {
    let indexes = 0..elements.len();
    match (&options.by, options.alphabetic) {
        (None, true) => Ok(Weights::Own),
        (None, false) => {
            indexes.map(|index| number(elements.get(index))).collect::<Result<_, _>>().map(Weights::Numbers)
        }
        (Some(pattern), true) => {
            Ok(Weights::Texts(indexes.map(|index| pattern.look_up(context, elements.get(index))).collect()))
        }
        (Some(pattern), false) => indexes
            .map(|index| match pattern.look_up(context, elements.get(index)) {
                None => Ok(0.0),
                Some(text) => number(&text),
            })
            .collect::<Result<_, _>>()
            .map(Weights::Numbers),
    }
}

/// A weight as Redis reads it: nothing is 0, what is too large is infinite, and a zero byte ends the text.
fn number(text: &[u8]) -> Result<f64, CommandError> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(0.0);
    }
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    number.filter(|number| !number.is_nan()).ok_or(NOT_NUMBERS)
}

/// The indexes of the elements that LIMIT asks for, in order.
fn put_in_order(elements: &Elements, weights: &Weights, options: &SortOptions<'_>) -> Vec<usize> {
    let compare = |&a: &usize, &b: &usize| {
        let own = || elements.get(a).cmp(elements.get(b));
        let ascending = match weights {
            Weights::Own => own(),
            Weights::Numbers(numbers) => numbers[a].partial_cmp(&numbers[b]).unwrap_or(Ordering::Equal).then_with(own),
            Weights::Texts(texts) => texts[a].cmp(&texts[b]),
        };
        // The index last: the same order every time, and a fast sort is as good as a stable one.
        (if options.descending { ascending.reverse() } else { ascending }).then(a.cmp(&b))
    };
    let mut order: Vec<usize> = (0..elements.len()).collect();
    let window = options.window(order.len());
    if window.is_empty() {
        return Vec::new();
    }
    if window.end < order.len() {
        order.select_nth_unstable_by(window.end - 1, compare);
        order.truncate(window.end);
    }
    order.sort_unstable_by(compare);
    order.drain(..window.start);
    order
}

/// Calls with everything that is given back, in order: the elements or what the GET patterns name for them.
fn results(
    context: &mut Context<'_>,
    elements: &Elements,
    order: &[usize],
    get: &[Pattern<'_>],
    mut give: impl FnMut(Option<&[u8]>),
) {
    for &index in order {
        let element = elements.get(index);
        if get.is_empty() {
            give(Some(element));
        }
        for pattern in get {
            give(pattern.look_up(context, element).as_deref());
        }
    }
}

fn write(context: &mut Context<'_>, reply: &mut Reply<'_>, elements: &Elements, order: &[usize], get: &[Pattern<'_>]) {
    reply.array(order.len() * get.len().max(1));
    results(context, elements, order, get, |value| reply.bulk_or_null(value));
}

fn store(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    elements: &Elements,
    order: &[usize],
    get: &[Pattern<'_>],
    target: usize,
) {
    let limit = node_limit(context);
    let mut list = List::new();
    results(context, elements, order, get, |value| list.push(End::Back, value.unwrap_or_default(), limit));
    let length = list.len();
    let key = context.key(target);
    if length > 0 {
        context.store(&key, list);
        context.changed_by(length, &key, class::LIST, "sortstore");
    } else if context.discard(&key) {
        context.changed(&key, class::GENERIC, "del");
    }
    reply.count(length);
}

#[cfg(test)]
#[path = "tests/sort.rs"]
mod tests;
