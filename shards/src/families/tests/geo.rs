//! GEOADD, GEOPOS, GEODIST and GEOHASH, on one shard and on several.

use crate::testing::Tester;
use crate::handler::reply::Protocol;

const SICILY: &str = "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

fn each(test: impl Fn(&mut Tester)) {
    for shards in [1, 4] {
        test(&mut Tester::new(shards));
    }
}

#[test]
fn geoadd_adds_moves_and_counts_by_its_options() {
    each(|t| {
        t.expect(&[
            (SICILY, ":2"),
            (SICILY, ":0"),
            ("GEOADD g NX 1 1 Palermo 2 2 new", ":1"),
            ("GEOADD g XX 1 1 newer", ":0"),
            ("GEOADD g XX CH 1 1 Palermo", ":1"),
            ("GEOADD g 1 1.5 Palermo", ":0"),
            ("GEOADD none XX 1 1 a", ":0"),
            ("EXISTS none", ":0"),
            ("ZCARD g", ":3"),
        ]);
    });
}

#[test]
fn geoadd_checks_everything_before_it_adds() {
    each(|t| {
        t.expect(&[
            ("SET s x", "+OK"),
            ("GEOADD g NX XX 1 1 a", "-ERR syntax error"),
            ("GEOADD g NX NX CH", "-ERR syntax error"),
            ("GEOADD g 1 1 a 2 2", "-ERR syntax error"),
            ("GEOADD g 200 100 a", "-ERR invalid longitude,latitude pair 200.000000,100.000000"),
            ("GEOADD g 1 1 a 10 86 b", "-ERR invalid longitude,latitude pair 10.000000,86.000000"),
            ("GEOADD g inf 1 a", "-ERR invalid longitude,latitude pair inf,1.000000"),
            ("GEOADD g 1 foo a", "-ERR value is not a valid float"),
            ("GEOADD s 1 foo a", "-ERR value is not a valid float"),
            ("GEOADD s 1 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("EXISTS g", ":0"),
        ]);
    });
}

#[test]
fn geopos_gives_the_middle_of_the_cell_with_all_digits() {
    each(|t| {
        t.expect(&[
            (SICILY, ":2"),
            ("GEOPOS g Palermo none", "*2|*2|$20|13.36138933897018433|$20|38.11555639549629859|*-1"),
            ("GEOPOS none a b", "*2|*-1|*-1"),
            ("GEOPOS g", "*0"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("GEOPOS g Palermo none", "*2|*2|,13.36138933897018433|,38.11555639549629859|_")]);
    });
}

#[test]
fn geodist_has_four_decimals_in_every_unit() {
    each(|t| {
        t.expect(&[
            (SICILY, ":2"),
            ("GEODIST g Palermo Catania", "$11|166274.1516"),
            ("GEODIST g Palermo Catania km", "$8|166.2742"),
            ("GEODIST g Palermo Catania FT", "$11|545518.8700"),
            ("GEODIST g Palermo Catania mi", "$8|103.3182"),
            ("GEODIST g Palermo Palermo", "$6|0.0000"),
            ("GEODIST g Palermo none", "$-1"),
            ("GEODIST none a b", "$-1"),
            ("GEODIST none a b yards", "-ERR unsupported unit provided. please use M, KM, FT, MI"),
            ("GEODIST g Palermo Catania km km", "-ERR syntax error"),
        ]);
        t.protocol = Protocol::Resp3;
        t.expect(&[("GEODIST g Palermo Catania", "$11|166274.1516"), ("GEODIST g Palermo none", "_")]);
    });
}

#[test]
fn geohash_gives_eleven_letters_also_for_scores_that_are_no_hashes() {
    each(|t| {
        t.expect(&[
            (SICILY, ":2"),
            ("GEOHASH g Palermo none Catania", "*3|$11|sqc8b49rny0|$-1|$11|sqdtr74hyu0"),
            ("ZADD z 1 a 1e300 b -5 c", ":3"),
            ("GEOHASH z a b c", "*3|$11|00bh0hbj210|$11|00bh0hbj200|$11|bp05b5048p0"),
        ]);
    });
}
