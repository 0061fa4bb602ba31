//! Collections that are written element by element, in any order and over some time: what comes before the elements, and each.
//! Streams have no elements, but parts in their order.

use super::save::NEVER;
use super::{kind, save_stream, Dialect, Writer};
use crate::entry::object::ObjectRef;
use crate::entry::Value;
use sherd_types::walk::Element;

/// How the elements of a collection are written. It is chosen once, by what [`super::type_of`] says at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementForm {
    /// Field and value.
    Pair,
    /// The same with the time at which it expires, as an offset from this one.
    TimedPair(u64),
    /// The same with the time behind it, as Valkey has it.
    PairAndTime,
    Member,
    TimedMember(u64),
    /// Member and score.
    Scored,
    /// An element of a list, in their order.
    Item,
    /// A stream, part by part.
    Stream,
}

/// Writes what comes before the elements of a walkable collection. The times count from the earliest one that the collection knows
/// of, for which no element need be looked at; what is before it has expired already, and is written as expiring then.
pub fn begin(writer: &mut Writer, object: ObjectRef<'_>) -> ElementForm {
    let due = object.timed().filter(|fields| fields.has_expiries()).map(|fields| fields.due().unwrap_or(0));
    let form = match (object, due) {
        (ObjectRef::Hash(_), Some(_)) if writer.dialect() == Dialect::Valkey => ElementForm::PairAndTime,
        (ObjectRef::Hash(_), Some(due)) => ElementForm::TimedPair(due),
        (ObjectRef::Hash(_), None) => ElementForm::Pair,
        (ObjectRef::Set(_), Some(due)) => ElementForm::TimedMember(due),
        (ObjectRef::Set(_), None) => ElementForm::Member,
        (ObjectRef::SortedSet(_), _) => ElementForm::Scored,
        (ObjectRef::List(_), _) => ElementForm::Item,
        (ObjectRef::Stream(_), _) => ElementForm::Stream,
    };
    if let ElementForm::TimedPair(due) | ElementForm::TimedMember(due) = form {
        writer.milliseconds(due as i64);
    }
    match object {
        ObjectRef::Stream(stream) => save_stream::begin(writer, stream),
        _ => writer.count(object.element_count()),
    }
    form
}

/// The type under which a collection is written element by element. A list's nodes are not: how many there are changes.
pub fn type_of(object: ObjectRef<'_>, dialect: Dialect) -> u8 {
    match object {
        ObjectRef::List(_) => kind::LIST,
        _ => super::type_of(&Value::Object(object), dialect),
    }
}

/// Writes an element; false if it cannot be written in this form.
#[must_use]
pub fn write(writer: &mut Writer, form: ElementForm, element: &Element<'_>) -> bool {
    match form {
        ElementForm::TimedPair(due) | ElementForm::TimedMember(due) => {
            writer.number(element.expiry.map_or(0, |at| at.saturating_sub(due) + 1));
        }
        ElementForm::Stream => return false,
        ElementForm::PairAndTime => {}
        _ if element.expiry.is_some() => return false,
        _ => {}
    }
    writer.string(element.name);
    match form {
        ElementForm::Pair | ElementForm::TimedPair(_) => writer.string(element.value),
        ElementForm::PairAndTime => {
            writer.string(element.value);
            writer.milliseconds(element.expiry.map_or(NEVER, |at| at as i64));
        }
        ElementForm::Member | ElementForm::TimedMember(_) | ElementForm::Item | ElementForm::Stream => {}
        ElementForm::Scored => writer.double(element.score),
    }
    true
}
