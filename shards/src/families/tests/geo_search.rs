//! GEOSEARCH and the older spellings of it.

use crate::testing::Tester;
use crate::handler::reply::Protocol;

const SICILY: &str = "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn each(test: impl Fn(&mut Tester)) {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        t.expect(&[(SICILY, ":2"), ("SET s x", "+OK")]);
        test(&mut t);
    }
}

#[test]
fn all_spellings_of_a_search_find_the_same() {
    each(|t| {
        let both = "*2|$7|Catania|$7|Palermo";
        t.expect(&[
            ("GEORADIUS g 15 37 200 km ASC", both),
            ("GEORADIUS_RO g 15 37 200 km ASC", both),
            ("GEORADIUSBYMEMBER g Catania 200 km ASC", both),
            ("GEORADIUSBYMEMBER_RO g Catania 200 km ASC", both),
            ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC", both),
            ("GEOSEARCH g FROMMEMBER Catania BYRADIUS 200 km ASC", both),
            ("GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC", both),
            ("GEOSEARCH g BYPOLYGON 4 13 37 13 39 16 39 16 37 ASC", both),
        ]);
    });
}

#[test]
fn details_come_in_a_fixed_order() {
    each(|t| {
        let line = "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 100 km WITHHASH WITHCOORD WITHDIST";
        t.expect(&[(
            line,
            "*1|*4|$7|Catania|$7|56.4413|:3479447370796909|*2|$20|15.08726745843887329|$20|37.50266842333162032",
        )]);
        t.protocol = Protocol::Resp3;
        t.expect(&[(line, "*1|*4|$7|Catania|$7|56.4413|:3479447370796909|*2|,15.08726745843887329|,37.50266842333162032")]);
    });
}

#[test]
fn a_count_takes_the_nearest_unless_any_will_do() {
    each(|t| {
        let search = "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km";
        for (options, expected) in [
            ("COUNT 1", "*1|$7|Catania"),
            ("COUNT 1 DESC", "*1|$7|Palermo"),
            ("COUNT 1 ANY", "*1|$7|Palermo"),
            ("ANY COUNT 2", "*2|$7|Palermo|$7|Catania"),
            ("COUNT 5", "*2|$7|Catania|$7|Palermo"),
            ("COUNT 0", "-ERR COUNT must be > 0"),
            ("COUNT x", "-ERR value is not an integer or out of range"),
            ("COUNT", "-ERR syntax error"),
            ("ANY", "-ERR the ANY argument requires COUNT argument"),
        ] {
            t.expect(&[(&format!("{search} {options}"), expected)]);
        }
    });
}

#[test]
fn results_are_stored_as_hashes_or_as_distances() {
    each(|t| {
        t.expect(&[
            ("GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km", ":2"),
            ("ZRANGE d 0 -1 WITHSCORES", "*4|$7|Palermo|$16|3479099956230698|$7|Catania|$16|3479447370796909"),
            ("GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST", ":2"),
            ("ZRANGE d 0 -1 WITHSCORES", "*4|$7|Catania|$16|56.4412578701582|$7|Palermo|$18|190.44242984775784"),
            ("GEORADIUS g 15 37 200 mi STORE e STOREDIST d COUNT 1", ":1"),
            ("EXISTS e", ":0"),
            ("ZRANGE d 0 -1 WITHSCORES", "*2|$7|Catania|$18|35.071058862737644"),
            ("GEORADIUSBYMEMBER g Catania 200 km STOREDIST e STORE d", ":2"),
            ("ZCARD d", ":2"),
            ("GEOSEARCHSTORE d g FROMLONLAT 50 50 BYRADIUS 1 m", ":0"),
            ("EXISTS d", ":0"),
            ("GEOSEARCHSTORE s none FROMLONLAT 50 50 BYRADIUS 1 m", ":0"),
            ("EXISTS s", ":0"),
        ]);
    });
}

#[test]
fn storing_raises_the_event_of_its_command() {
    each(|t| {
        t.world.settings.notify_keyspace_events.set(i64::from(u16::MAX) & !(1 << 10));
        for (line, event) in [
            ("GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km", vec!["geosearchstore d"]),
            ("GEORADIUS g 15 37 200 km STORE d", vec!["georadiusstore d"]),
            ("GEOSEARCHSTORE d g FROMLONLAT 50 50 BYRADIUS 1 km", vec!["del d"]),
            ("GEOSEARCHSTORE d g FROMLONLAT 50 50 BYRADIUS 1 km", vec![]),
        ] {
            t.events();
            t.run(line);
            assert_eq!(t.events(), event, "{line}");
        }
    });
}

#[test]
fn mistakes_are_told_in_the_order_of_redis() {
    each(|t| {
        let unit = "-ERR unsupported unit provided. please use M, KM, FT, MI";
        let syntax = "-ERR syntax error";
        let member = "-ERR could not decode requested zset member";
        t.expect(&[
            ("GEORADIUS g 15 37 x km", "-ERR need numeric radius"),
            ("GEORADIUS g 15 37 -1 zz", "-ERR radius cannot be negative"),
            ("GEORADIUS none 15 37 1 zz", unit),
            ("GEORADIUS g 15 370 1 km", "-ERR invalid longitude,latitude pair 15.000000,370.000000"),
            ("GEORADIUS s 15 370 1 km", WRONG_TYPE),
            ("GEORADIUS_RO g 15 37 200 km STORE a", syntax),
            ("GEORADIUS g 15 37 200 km FROMMEMBER Palermo", syntax),
            (
                "GEORADIUS g 15 37 200 km STORE a WITHDIST",
                "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
            ),
            ("GEORADIUSBYMEMBER none x y zz", "*0"),
            ("GEORADIUSBYMEMBER none x y zz FOO", syntax),
            ("GEORADIUSBYMEMBER g x y zz FOO", member),
            ("GEOSEARCH g FROMMEMBER x ASC ASC ASC", member),
            ("GEOSEARCH g FROMLONLAT 1 1 BYBOX x 1 km", "-ERR need numeric width"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYBOX 1 x km", "-ERR need numeric height"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYBOX 1 -1 zz", "-ERR height or width cannot be negative"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYBOX 1 1 zz", unit),
            ("GEOSEARCH g FROMLONLAT 1 1 BYBOX 1 1 km BYRADIUS 1 km", syntax),
            ("GEOSEARCH g FROMLONLAT 1 1 FROMMEMBER Palermo BYRADIUS 1 km", syntax),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 km STOREDIST", syntax),
            (
                "geosearch g ASC ASC ASC ASC BYRADIUS 1 km",
                "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch",
            ),
            (
                "GEOSEARCH none FROMMEMBER a ASC ASC ASC",
                "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
            ),
            (
                "GEOSEARCHSTORE d g FROMLONLAT 1 1 BYRADIUS 1 km WITHDIST",
                "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
            ),
        ]);
    });
}

#[test]
fn a_polygon_takes_three_vertices_and_no_other_shape_or_middle() {
    each(|t| {
        let few = "-ERR GEOSEARCH BYPOLYGON must have at least 3 vertices";
        let number = "-ERR invalid number of vertices";
        let syntax = "-ERR syntax error";
        t.expect(&[
            ("GEOSEARCH g BYPOLYGON 3 13 37 13 39 16 39", "*1|$7|Palermo"),
            ("GEOSEARCH g BYPOLYGON 3 13 37 13 39 16 39 WITHDIST", "*1|*2|$7|Palermo|$10|60475.4704"),
            ("GEOSEARCH g BYPOLYGON 2 13 37 13 39", few),
            ("GEOSEARCH g BYPOLYGON 3 13 37 13 39 14", few),
            ("GEOSEARCH g BYPOLYGON -3 13 37 13 39 14 38", few),
            ("GEOSEARCH g BYPOLYGON 2147483647 13 37 13 39 14 38", few),
            ("GEOSEARCH g BYPOLYGON 2147483648 13 37 13 39 14 38", number),
            ("GEOSEARCH g BYPOLYGON x 13 37 13 39 14 38", number),
            ("GEOSEARCH g BYPOLYGON 3 13 37 13 y 14 38", "-ERR value is not a valid float"),
            ("GEOSEARCH g FROMLONLAT 15 37 BYPOLYGON 3 13 37 13 39 16 39", syntax),
            ("GEOSEARCH g BYPOLYGON 3 13 37 13 39 16 39 FROMMEMBER Palermo", syntax),
            ("GEOSEARCH g BYPOLYGON 3 13 37 13 39 16 39 BYRADIUS 1 km", syntax),
            ("GEOSEARCH g ASC DESC COUNT 1 BYPOLYGON 3", syntax),
        ]);
    });
}

#[test]
fn the_last_destination_of_georadius_is_its_key() {
    let keys = |line: &str| {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        super::radius_keys(&args)
    };
    assert_eq!(keys("GEORADIUS g 1 1 1 km"), [1]);
    assert_eq!(keys("GEORADIUS g 1 1 1 km STORE a"), [1, 7]);
    assert_eq!(keys("GEORADIUS g 1 1 1 km STORE a STOREDIST b"), [1, 9]);
    assert_eq!(keys("GEORADIUS g 1 1 1 km STORE STORE"), [1, 7]);
    assert_eq!(keys("GEORADIUS g 1 1 1 km STORE"), [1]);
}
