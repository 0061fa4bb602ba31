//! Sorted sets from bytes. Members may come in any order: releases differ in it, and sorting costs less than trusting.

use super::{Corrupt, Limits, Reader};
use sherd_types::listpack::Listpack;
use sherd_types::number::{self, I64Buffer};
use sherd_types::zset::ZSet;
use sherd_types::zset_algebra::Builder;

/// Instead of the length of a score's text.
const NOT_A_NUMBER: u8 = 253;
const INFINITY: u8 = 254;
const NEGATIVE_INFINITY: u8 = 255;

fn add(builder: &mut Builder, member: &[u8], score: f64) -> Result<(), Corrupt> {
    if score.is_nan() || !builder.add(member, score) {
        return Err(Corrupt);
    }
    Ok(())
}

pub fn load_binary_scores(reader: &mut Reader<'_>, limits: &Limits) -> Result<ZSet, Corrupt> {
    let count = reader.count(9)?;
    let mut builder = Builder::with_capacity(count);
    for _ in 0..count {
        let member = reader.string()?;
        add(&mut builder, &member, reader.double()?)?;
    }
    Ok(builder.finish(limits.zset))
}

pub fn load_text_scores(reader: &mut Reader<'_>, limits: &Limits) -> Result<ZSet, Corrupt> {
    let count = reader.count(2)?;
    let mut builder = Builder::with_capacity(count);
    for _ in 0..count {
        let member = reader.string()?;
        let score = match reader.byte()? {
            NOT_A_NUMBER => return Err(Corrupt),
            INFINITY => f64::INFINITY,
            NEGATIVE_INFINITY => f64::NEG_INFINITY,
            length => number::parse_f64(reader.take(usize::from(length))?).ok_or(Corrupt)?,
        };
        add(&mut builder, &member, score)?;
    }
    Ok(builder.finish(limits.zset))
}

/// Adopts a listpack of members and scores if it is in order and small enough, else builds a set of its elements.
pub fn from_packed(listpack: Listpack, limits: &Limits) -> Result<ZSet, Corrupt> {
    if listpack.len() % 2 != 0 {
        return Err(Corrupt);
    }
    let count = listpack.len() / 2;
    if count <= limits.zset.entries_max {
        if let Some(set) = ZSet::from_packed(listpack.clone()) {
            return Ok(set);
        }
    }
    let mut builder = Builder::with_capacity(count);
    let mut items = listpack.iter();
    let (mut member_buffer, mut score_buffer) = (I64Buffer::default(), I64Buffer::default());
    while let (Some(member), Some(score)) = (items.next(), items.next()) {
        let score = number::parse_f64(score.as_bytes(&mut score_buffer)).ok_or(Corrupt)?;
        add(&mut builder, member.as_bytes(&mut member_buffer), score)?;
    }
    Ok(builder.finish(limits.zset))
}
