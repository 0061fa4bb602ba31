//! Tests of number texts. Vectors of doubles and long doubles were recorded from Redis 8.0 and from C's `long double`.

use super::*;

fn text(value: i64) -> String {
    String::from_utf8(format_i64(value, &mut [0; I64_TEXT_MAX_BYTES]).to_vec()).expect("ASCII")
}

fn double_text(value: f64) -> String {
    String::from_utf8(format_f64(value, &mut [0; F64_TEXT_MAX_BYTES]).to_vec()).expect("ASCII")
}

fn sum(left: &str, right: &str) -> Option<String> {
    let sum = LongDouble::parse(left.as_bytes())?.plus(LongDouble::parse(right.as_bytes())?);
    Some(String::from_utf8(sum.to_text()).expect("ASCII"))
}

struct Dice(u64);
impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn an_integer_survives_the_way_to_text_and_back() {
    let mut dice = Dice(7);
    for round in 0..20_000u32 {
        let value = dice.roll() as i64 >> (round % 64);
        assert_eq!(text(value), value.to_string());
        assert_eq!(parse_i64(text(value).as_bytes()), Some(value));
        assert_eq!(i64_text_len(value), text(value).len());
    }
    for value in [i64::MIN, i64::MIN + 1, -1, 0, 1, 9, 10, 99, 100, i64::MAX] {
        assert_eq!(text(value), value.to_string());
        assert_eq!(parse_i64(text(value).as_bytes()), Some(value));
        assert_eq!(i64_text_len(value), text(value).len());
    }
}

#[test]
fn only_the_canonical_spelling_is_an_integer() {
    let refused = [
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "01",
        "00",
        "-0",
        "-01",
        "1.0",
        "1e3",
        "0x1",
        "a",
        "--1",
        "1-",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999",
        "1\0",
    ];
    for spelling in refused {
        assert_eq!(parse_i64(spelling.as_bytes()), None, "{spelling:?}");
    }
}

#[test]
fn a_double_is_read_as_strtod_reads_it() {
    let accepted = [
        ("0", 0.0),
        ("5.", 5.0),
        (".5", 0.5),
        ("+1.5e+2", 150.0),
        ("0x1p3", 8.0),
        ("-0X.8", -0.5),
        ("0x1.8p-1075", f64::from_bits(1)),
        ("0x1.fffffffffffff7p1023", f64::MAX),
        ("0x10000000000000000000000000000001", 2f64.powi(124)),
        ("INF", f64::INFINITY),
        ("+infinity", f64::INFINITY),
        ("-Inf", f64::NEG_INFINITY),
        ("4.9e-324", f64::from_bits(1)),
        ("0e99999999999999999999", 0.0),
        ("1e0005", 100_000.0),
        ("00012", 12.0),
    ];
    for (spelling, value) in accepted {
        assert_eq!(parse_f64(spelling.as_bytes()), Some(value), "{spelling}");
    }
    assert!(parse_f64(b"-0").expect("a number").is_sign_negative());
}

#[test]
fn what_redis_refuses_as_a_double_is_refused() {
    let refused = [
        "",
        " 1",
        "1 ",
        ".",
        "+",
        "e5",
        "1e",
        "1e+",
        "1.2.3",
        "nan",
        "NaN",
        "-nan",
        "nan(1)",
        "infi",
        "1_0",
        "1f",
        "+-1",
        "1e400",
        "-1e400",
        "1e-400",
        "2.4e-324",
        "0x",
        "0x.",
        "0xp1",
        "0x1p",
        "0x1p1024",
        "0x1p-1075",
        "0x1.2.3",
        "1\0",
        "0x1.fffffffffffff8p1023",
    ];
    for spelling in refused {
        assert_eq!(parse_f64(spelling.as_bytes()), None, "{spelling:?}");
        if !spelling.contains("00") && !spelling.contains("32") && !spelling.contains('p') {
            assert!(LongDouble::parse(spelling.as_bytes()).is_none(), "{spelling:?}");
        }
    }
}

#[test]
fn doubles_print_as_redis_8_prints_scores() {
    let recorded = [
        (3.0, "3"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (2.7015, "2.7015"),
        (1e21, "1e+21"),
        (1e20, "1e+20"),
        (4611686018427387904.0, "4611686018427387904"),
        (4611686018427388928.0, "4611686018427389000"),
        (1e19, "1e+19"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (0.000123, "0.000123"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (-f64::MAX, "-1.7976931348623157e+308"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (17.0 / 3.0, "5.666666666666667"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (1e100, "1e+100"),
        // The algorithm misses the shortest form of this one.
        (RECORDED_NOT_SHORTEST.0, RECORDED_NOT_SHORTEST.1),
    ];
    for (value, expected) in recorded {
        assert_eq!(double_text(value), expected);
    }
}

/// The texts of 20,000 doubles, most of them with 15 to 17 digits, were compared with those of Redis 8.0 and Valkey 9.1 and
/// are kept as one checksum.
#[test]
fn thousands_of_doubles_print_as_servers_were_seen_to_print_them() {
    let mut dice = Dice(2026);
    let mut checksum = 0xcbf2_9ce4_8422_2325u64;
    for round in 0..20_000 {
        let value = match round % 3 {
            0 => f64::from_bits(dice.roll()),
            1 => (dice.roll() >> 20) as f64 / 1e4,
            _ => (dice.roll() >> 11) as f64 * 2f64.powi(-53) * 1000.0,
        };
        if value.is_finite() {
            for &byte in double_text(value).as_bytes() {
                checksum = (checksum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    assert_eq!(checksum, RECORDED_CHECKSUM);
}

#[test]
fn a_printed_double_reads_back_as_the_same_bits() {
    let mut dice = Dice(99);
    for _ in 0..50_000 {
        let value = f64::from_bits(dice.roll());
        if value.is_finite() {
            let printed = double_text(value);
            assert_eq!(parse_f64(printed.as_bytes()).map(f64::to_bits), Some(value.to_bits()), "{printed}");
        }
    }
}

#[test]
fn the_cached_powers_of_ten_are_the_true_ones() {
    use super::powers_of_ten::{FIRST_POWER, POWERS, POWER_STEP};
    for (row, &(significand, exponent)) in POWERS.iter().enumerate() {
        let power = FIRST_POWER + row as i32 * POWER_STEP;
        assert_eq!(significand >> 63, 1);
        if (0..=27).contains(&power) {
            let exact = 10u128.pow(power as u32);
            let restored =
                if exponent < 0 { u128::from(significand) >> -exponent } else { u128::from(significand) << exponent };
            assert_eq!(restored, exact, "10^{power}");
        }
        if row > 0 {
            let (previous, previous_exponent) = POWERS[row - 1];
            let ratio = significand as f64 / previous as f64 * 2f64.powi(exponent - previous_exponent);
            assert!((ratio / 1e8 - 1.0).abs() < 1e-12, "10^{power}");
        }
    }
}

#[test]
fn long_doubles_add_and_print_as_in_c() {
    let recorded = RECORDED_SUMS;
    for (left, right, expected) in recorded {
        assert_eq!(sum(left, right).as_deref(), *expected, "{left} + {right}");
    }
}

#[test]
fn opposite_infinities_do_not_add_to_a_number() {
    let infinity = LongDouble::parse(b"inf").expect("infinity");
    assert!(!infinity.is_finite());
    assert!(!infinity.plus(LongDouble::from_i64(1)).is_finite());
    let nothing = infinity.plus(LongDouble::parse(b"-inf").expect("infinity"));
    assert_eq!(nothing.to_text(), b"nan");
}

#[test]
fn text_longer_than_the_servers_buffer_is_not_a_long_double() {
    assert!(LongDouble::parse(&[b'1'; 4932]).is_some());
    let mut zeros = vec![b'0'; 5119];
    assert!(LongDouble::parse(&zeros).is_some());
    zeros.push(b'0');
    assert!(LongDouble::parse(&zeros).is_none());
}

#[rustfmt::skip]
const RECORDED_SUMS: &[(&str, &str, Option<&str>)] = &[
    ("170141183460469231731687303715884105728", "9223372036854775809", Some("170141183460469231750134047789593657344")),
    ("340282366920938463481821351505477763073", "0", Some("340282366920938463500268095579187314688")),
    ("340282366920938463481821351505477763072", "0", Some("340282366920938463463374607431768211456")),
    ("170141183460469231731687303715884105728", "-9223372036854775809", Some("170141183460469231722463931679029329920")),
    ("1e40", "-1e-5", Some("9999999999999999999783686092270256259072")),
    ("0.1", "0.2", Some("0.3")),
    ("10.50", "0.1", Some("10.6")),
    ("5.0e3", "2.0e2", Some("5200")),
    ("3.0", "1.1", Some("4.1")),
    ("1", "-1", Some("0")),
    ("-0", "-0", Some("0")),
    ("1e-18", "0", Some("0")),
    ("5e-18", "0", Some("0")),
    ("1.5e-17", "0", Some("0.00000000000000002")),
    ("12345678901234567890", "0.5", Some("12345678901234567890")),
    ("18446744073709551615", "0.5", Some("18446744073709551616")),
    ("18446744073709551615", "0.75", Some("18446744073709551616")),
    ("18446744073709551616", "1", Some("18446744073709551616")),
    ("1e20", "-0.1", Some("100000000000000000000")),
    ("9007199254740993", "0.1", Some("9007199254740993.099609375")),
    ("0.00000000000000001", "0.00000000000000002", Some("0.00000000000000003")),
    ("1.2e4932", "0", None),
    ("1e-4951", "0", None),
    ("1e-4960", "0", None),
    ("0x1p3", "0x.8", Some("8.5")),
    ("0x1.fffffffffffffffffp0", "0", Some("2")),
    ("-1.5", "1.4", Some("-0.1")),
    ("123456789.987654321", "987654321.123456789", Some("1111111111.11111110995989293")),
    ("1e400", "-1e400", Some("0")),
    ("1e30", "1e-30", Some("1000000000000000000024696061952")),
    ("1e30", "-1e10", Some("1000000000000000000024696061952")),
    ("", "1", None),
    ("1", " 2", None),
    ("99999999999999999999999999999999999999", "1", Some("99999999999999999999312600448599326720")),
    ("3.141592653589793238462643383279502884197", "0", Some("3.14159265358979324")),
    ("51452715455758358398", "62421.656413880", Some("51452715455758420820")),
    ("677155904.2150145586", "0.31042652186279242660876790316828", Some("677155904.52544108044821769")),
    ("-6114893953990972682", "836143345.69988", Some("-6114893953154829336.5")),
    ("0x.8", "25.967604255", Some("26.467604255")),
    ("+0x1.2.3", "13708395399004818914", None),
    ("+inf", "+98e11", Some("inf")),
    ("+55178289526282268682", "-0x4c011fE1bd38ACf1EfE349A20fp-16433", Some("55178289526282268680")),
    ("16858083221855056416", "256237968985793439688", Some("273096052207648496096")),
    ("+4130.11", "+17061422289476035450", Some("17061422289476039580")),
    ("140.974652", "328772000529063563280", Some("328772000529063563392")),
    ("+2094", "47111143715.8", Some("47111145809.80000000074505806")),
    ("-599042312742319183187563", "+8514303822479227779397424498.1e-4485", Some("-599042312742319183200256")),
    ("81.92705252675827455825331297e-821", "8.571368294276427e-17", Some("0.00000000000000009")),
    ("783476796.8583501", "1870.08", Some("783478666.93835010001203045")),
    ("-2139.03", "+13600860089005775388", Some("13600860089005773249")),
    ("-9909.87", "514862163.98276088", Some("514852254.11276088000158779")),
    ("+-1", "0e-37", None),
    ("3196.73", "5464e22", Some("54640000000000000000000000")),
    ("123919379210092270332", "+33140706.292153162", Some("123919379210125411040")),
    ("-7.908383141758528e-20", "+117890381.55137", Some("117890381.55137000000104308")),
    ("-81566.245", "+69796607235.17346", Some("69796525668.92846000194549561")),
    ("494153369544225578320", "+2370.21", Some("494153369544225580672")),
    ("-259839530952455979512", "623390", Some("-259839530952455356128")),
    ("0xd33B4ACbDACA459e42B220d8c9", "+15131409994031389006", Some("16735492329291378943702236921856")),
    ("-3654154.5321176", "56224.920782", Some("-3597929.61133560000007492")),
    ("0.04046644862186164", "3756.64", Some("3756.68046644862186145")),
    ("3868157614.67308576", "1.2.3", None),
];

const RECORDED_NOT_SHORTEST: (f64, &str) = (44772653960.06847, "44772653960.068466");
const RECORDED_CHECKSUM: u64 = 0x63449ac42892f7b4;

#[test]
fn a_line_has_its_kind_its_number_and_an_end() {
    for value in [0, 7, 10, 99, 100, 12345, -1, -10, -100, i64::MAX, i64::MIN, i64::MIN + 1] {
        let mut line = b"before".to_vec();
        append_line(&mut line, b':', value);
        assert_eq!(line, format!("before:{value}\r\n").into_bytes());
    }
}

#[test]
fn integers_of_any_length_are_the_doubles_that_the_standard_library_reads() {
    for digits in [
        "0",
        "1",
        "9",
        "000000000123",
        "123456789012345",
        "999999999999999",
        "9999999999999999",
        "12345678901234567890",
    ] {
        for length in 1..=digits.len() {
            for text in
                [digits[..length].to_owned(), format!("-{}", &digits[..length]), format!("+{}", &digits[..length])]
            {
                let expected: f64 = text.parse().expect("a number");
                assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(expected.to_bits()), "{text}");
            }
        }
    }
    for wrong in ["1a", "12345678901234a", "1-", "1+", "1 ", "--1", "-", "+", ":", "/"] {
        assert_eq!(parse_f64(wrong.as_bytes()), None, "{wrong}");
    }
}
