//! Places on the Earth as 52-bit geohashes, and distances between them.
//!
//! A geo index is a sorted set whose scores are interleaved bits of latitude (even bits) and longitude (odd bits), 26 of
//! each, so that a rectangle of the grid is a range of scores. Cells of fewer bits cover larger rectangles. The latitude
//! ends at the limits of the web Mercator projection, where the grid's cells would become infinitely tall.
//!
//! Replies show sixteen digits of what is computed here, so every operation is done in the order that Redis does it: a
//! rearranged formula would be as right and differ in the last digit. That is also why a hash is decoded to the middle of
//! its cell by averaging both edges.
//!
//! Numbers that are no geohashes (any score may be in a sorted set) decode to some place; nothing here can fail.

pub mod search;
pub mod shape;

pub const LONGITUDE_MAX: f64 = 180.0;
pub const LATITUDE_MAX: f64 = 85.05112878;

/// Bits of each axis in a score.
pub const STEPS_MAX: u32 = 26;

/// The radius of the sphere that stands for the Earth.
pub const EARTH_RADIUS_METERS: f64 = 6_372_797.560856;

const RADIANS_PER_DEGREE: f64 = std::f64::consts::PI / 180.0;
const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;
const LONGITUDE_BITS: u64 = 0xAAAA_AAAA_AAAA_AAAA;

pub(super) fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

pub(super) fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// Longitude and latitude in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub longitude: f64,
    pub latitude: f64,
}

impl Place {
    /// Whether the place can be indexed.
    pub fn is_valid(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// The score under which a valid place is indexed.
    pub fn to_score(self) -> f64 {
        Cell::around(self, STEPS_MAX).bits as f64
    }

    /// The place that a score stands for.
    #[inline]
    pub fn from_score(score: f64) -> Place {
        Cell { bits: score_bits(score), steps: STEPS_MAX }.area().middle()
    }

    /// The eleven letters of the geohash that other systems understand, which covers latitudes up to the poles. The last
    /// letter is always `0`: the bits do not suffice for it.
    pub fn to_geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = interleave(self, 90.0, STEPS_MAX);
        std::array::from_fn(|at| match at {
            10 => ALPHABET[0],
            _ => ALPHABET[(bits >> (47 - 5 * at) & 31) as usize],
        })
    }

    /// Metres along the sphere.
    pub fn distance_meters(self, other: Place) -> f64 {
        Origin::new(self).distance_meters(other)
    }
}

/// The bits of a score. What does not fit is what an x86-64 processor makes of the conversion, as clients have seen it in
/// replies; other processors get the same here.
#[inline]
fn score_bits(score: f64) -> u64 {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    let truncate = |value: f64| {
        let fits = (-TWO_TO_63..TWO_TO_63).contains(&value);
        (if fits { value as i64 } else { i64::MIN }) as u64
    };
    if score < TWO_TO_63 {
        truncate(score)
    } else {
        truncate(score - TWO_TO_63) ^ 1 << 63
    }
}

/// A place from which many distances are computed.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub place: Place,
    longitude: f64,
    latitude: f64,
    latitude_cosine: f64,
}

impl Origin {
    pub fn new(place: Place) -> Origin {
        let latitude = radians(place.latitude);
        Origin { place, longitude: radians(place.longitude), latitude, latitude_cosine: latitude.cos() }
    }

    /// Metres along the sphere, by the haversine formula.
    #[inline]
    pub fn distance_meters(&self, other: Place) -> f64 {
        let v = ((radians(other.longitude) - self.longitude) / 2.0).sin();
        if v == 0.0 {
            return self.latitude_distance_meters(other);
        }
        let latitude = radians(other.latitude);
        let u = ((latitude - self.latitude) / 2.0).sin();
        let a = u * u + self.latitude_cosine * latitude.cos() * v * v;
        2.0 * EARTH_RADIUS_METERS * a.sqrt().asin()
    }

    /// Metres between the parallels.
    #[inline]
    pub fn latitude_distance_meters(&self, other: Place) -> f64 {
        EARTH_RADIUS_METERS * (radians(other.latitude) - self.latitude).abs()
    }
}

/// Spreads the 32 bits of a coordinate over the even bits of a word.
#[inline]
fn spread(value: u32) -> u64 {
    let mut bits = u64::from(value);
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, LATITUDE_BITS),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Takes the even bits of a word together.
#[inline]
fn gather(bits: u64) -> u32 {
    let mut bits = bits & LATITUDE_BITS;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

/// The hash of a place on a grid up to this latitude. A coordinate at the upper limit gets one bit more than the others.
fn interleave(place: Place, latitude_max: f64, steps: u32) -> u64 {
    let scale = (1u64 << steps) as f64;
    let latitude = (place.latitude + latitude_max) / (latitude_max + latitude_max) * scale;
    let longitude = (place.longitude + LONGITUDE_MAX) / (LONGITUDE_MAX + LONGITUDE_MAX) * scale;
    spread(latitude as u32) | spread(longitude as u32) << 1
}

/// A rectangle of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    bits: u64,
    /// Bits of each axis, 1 to 26.
    steps: u32,
}

/// The edges of a cell, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    pub longitude_min: f64,
    pub longitude_max: f64,
    pub latitude_min: f64,
    pub latitude_max: f64,
}

impl Area {
    fn middle(self) -> Place {
        Place {
            longitude: ((self.longitude_min + self.longitude_max) / 2.0).clamp(-LONGITUDE_MAX, LONGITUDE_MAX),
            latitude: ((self.latitude_min + self.latitude_max) / 2.0).clamp(-LATITUDE_MAX, LATITUDE_MAX),
        }
    }
}

impl Cell {
    /// The cell that a valid place is in.
    pub fn around(place: Place, steps: u32) -> Cell {
        Cell { bits: interleave(place, LATITUDE_MAX, steps), steps }
    }

    pub fn area(self) -> Area {
        let scale = (1u64 << self.steps) as f64;
        let (latitude, longitude) = (gather(self.bits), gather(self.bits >> 1));
        let edge = |number: u32, max: f64| -max + (f64::from(number) / scale) * (max + max);
        Area {
            longitude_min: edge(longitude, LONGITUDE_MAX),
            longitude_max: edge(longitude.wrapping_add(1), LONGITUDE_MAX),
            latitude_min: edge(latitude, LATITUDE_MAX),
            latitude_max: edge(latitude.wrapping_add(1), LATITUDE_MAX),
        }
    }

    /// The lowest score in the cell and the lowest above it.
    pub fn scores(self) -> (f64, f64) {
        let unused_bits = 2 * (STEPS_MAX - self.steps);
        ((self.bits << unused_bits) as f64, ((self.bits + 1) << unused_bits) as f64)
    }

    /// The cell so many steps (-1, 0 or 1) to the east and to the north; the grid wraps at its edges.
    pub fn neighbour(self, east: i32, north: i32) -> Cell {
        let unused = 64 - 2 * self.steps;
        let longitude = step(self.bits & LONGITUDE_BITS, LATITUDE_BITS >> unused, east) & LONGITUDE_BITS >> unused;
        let latitude = step(self.bits & LATITUDE_BITS, LONGITUDE_BITS >> unused, north) & LATITUDE_BITS >> unused;
        // An axis that does not move keeps the surplus bit of a coordinate at the upper limit.
        let longitude = if east == 0 { self.bits & LONGITUDE_BITS } else { longitude };
        let latitude = if north == 0 { self.bits & LATITUDE_BITS } else { latitude };
        Cell { bits: longitude | latitude, steps: self.steps }
    }
}

/// Adds to a number that lies in every other bit: the bits between are filled, so that carries run through them.
fn step(number: u64, between: u64, by: i32) -> u64 {
    match by {
        1 => number.wrapping_add(between + 1),
        -1 => (number | between).wrapping_sub(between + 1),
        _ => number,
    }
}

#[cfg(test)]
#[path = "tests/geo.rs"]
mod tests;
