//! Geometry against definitions: places, distances, cells and searches compared with a walk over all members.

use super::search::{Found, Order};
use super::shape::{Outline, Shape};
use super::*;
use crate::zset::{Limits, ZSet};

const PALERMO: Place = Place { longitude: 13.361389, latitude: 38.115556 };
const CATANIA: Place = Place { longitude: 15.087269, latitude: 37.502669 };

/// A deterministic sequence of places.
fn places(count: usize) -> impl Iterator<Item = Place> {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut unit = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count).map(move |_| Place { longitude: unit() * 360.0 - 180.0, latitude: unit() * 170.0 - 85.0 })
}

#[test]
fn scores_and_letters_are_those_of_redis() {
    assert_eq!(PALERMO.to_score(), 3_479_099_956_230_698.0);
    assert_eq!(CATANIA.to_score(), 3_479_447_370_796_909.0);
    assert_eq!(&Place::from_score(CATANIA.to_score()).to_geohash(), b"sqdtr74hyu0");
    assert_eq!(
        Place::from_score(PALERMO.to_score()),
        Place { longitude: 13.361389338970184, latitude: 38.1155563954963 }
    );
}

#[test]
fn a_decoded_place_is_within_a_metre_and_keeps_its_score() {
    for place in places(10_000) {
        let decoded = Place::from_score(place.to_score());
        assert!(place.distance_meters(decoded) < 1.0, "{place:?} {decoded:?}");
        assert_eq!(decoded.to_score(), place.to_score());
    }
}

#[test]
fn any_score_decodes_to_a_valid_place() {
    for score in [-5.0, 1.5, 1e18, 9.3e18, 1e19, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(Place::from_score(score).is_valid(), "{score}");
    }
}

#[test]
fn distance_is_symmetric_and_zero_only_to_itself() {
    let all: Vec<Place> = places(50).collect();
    for a in &all {
        for b in &all {
            assert!((a.distance_meters(*b) - b.distance_meters(*a)).abs() < 1e-6);
            assert_eq!(a.distance_meters(*b) == 0.0, a == b);
        }
    }
}

#[test]
fn neighbours_share_an_edge_with_their_cell() {
    for place in places(500).filter(|place| place.longitude.abs() < 179.0 && place.latitude.abs() < 84.0) {
        for steps in 10..=STEPS_MAX {
            let cell = Cell::around(place, steps);
            let area = cell.area();
            assert_eq!(cell.neighbour(0, 1).area().latitude_min, area.latitude_max);
            assert_eq!(cell.neighbour(0, -1).area().latitude_max, area.latitude_min);
            assert_eq!(cell.neighbour(1, 0).area().longitude_min, area.longitude_max);
            assert_eq!(cell.neighbour(-1, 0).area().longitude_max, area.longitude_min);
            assert_eq!(cell.neighbour(1, -1).neighbour(-1, 1), cell);
        }
    }
}

#[test]
fn a_search_finds_what_a_walk_over_all_members_finds() {
    let all: Vec<Place> = places(2000).map(|place| Place::from_score(place.to_score())).collect();
    let mut set = ZSet::new();
    for (number, place) in all.iter().enumerate() {
        set.add(Limits::default(), format!("m{number}").as_bytes(), place.to_score());
    }
    for middle in places(60).filter(|place| place.latitude.abs() < 60.0 && place.longitude.abs() < 120.0) {
        for radius in [1000.0, 50_000.0, 700_000.0, 2_000_000.0] {
            for outline in [
                Outline::Circle { radius },
                Outline::Rectangle { width: radius, height: radius / 2.0 },
                Outline::Rectangle { width: radius / 3.0, height: radius },
            ] {
                let shape = Shape::around(middle, outline);
                let expected = all.iter().filter(|place| shape.distance_within(**place).is_some()).count();
                assert_eq!(Found::search(&set, &shape, 0).len(), expected, "{shape:?}");
            }
        }
    }
}

#[test]
fn a_polygon_contains_what_its_edges_enclose() {
    let corner = |longitude: f64, latitude: f64| Place { longitude, latitude };
    // A square with a notch in its northern edge.
    let shape = Shape::polygon(vec![
        corner(0.0, 0.0),
        corner(0.0, 10.0),
        corner(5.0, 2.0),
        corner(10.0, 10.0),
        corner(10.0, 0.0),
    ]);
    for (place, inside) in [
        (corner(5.0, 1.0), true),
        (corner(5.0, 3.0), false),
        (corner(1.0, 7.0), true),
        (corner(9.0, 7.0), true),
        (corner(11.0, 5.0), false),
        (corner(-1.0, 5.0), false),
        (corner(5.0, -1.0), false),
    ] {
        assert_eq!(shape.distance_within(place).is_some(), inside, "{place:?}");
    }
}

#[test]
fn a_polygon_around_a_pole_has_cells() {
    let around = [-120.0, 0.0, 120.0].map(|longitude| Place { longitude, latitude: 85.0 });
    assert!(!Shape::polygon(around.to_vec()).cells().is_empty());
}

#[test]
fn points_are_arranged_by_distance_and_ties_stay_as_found() {
    let mut set = ZSet::new();
    for (member, longitude) in [("far", 3.0), ("twin b", 1.0), ("twin a", 1.0), ("near", 0.5), ("twin c", 1.0)] {
        set.add(Limits::default(), member.as_bytes(), Place { longitude, latitude: 0.0 }.to_score());
    }
    let shape = Shape::around(Place { longitude: 0.0, latitude: 0.0 }, Outline::Circle { radius: 1e6 });
    let names = |order, count| {
        let mut found = Found::search(&set, &shape, 0);
        found.arrange(order, count);
        let names = found.points().iter().map(|point| String::from_utf8_lossy(found.member(point)).into_owned());
        names.collect::<Vec<_>>().join(",")
    };
    assert_eq!(names(Order::Nearest, 0), "near,twin a,twin b,twin c,far");
    assert_eq!(names(Order::Farthest, 0), "far,twin a,twin b,twin c,near");
    assert_eq!(names(Order::Nearest, 3), "near,twin a,twin b");
    assert_eq!(names(Order::Found, 2), "near,twin a");
}
