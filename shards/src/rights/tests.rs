//! What rights allow, by command lines.

use super::*;

fn user(selectors: Vec<Selector>) -> User {
    User::new(b"somebody".to_vec(), selectors)
}

fn keys(patterns: &[(&str, Uses)]) -> Option<KeyPatterns> {
    let key = |&(pattern, uses): &(&str, Uses)| KeyPattern { pattern: Pattern::new(pattern.as_bytes()), uses };
    Some(patterns.iter().map(key).collect())
}

fn commands(names: &[&str]) -> Option<CommandSet> {
    let mut set = CommandSet::default();
    for name in names {
        let command = crate::families::install(std::iter::empty()).by_name(name).expect("a command");
        set.insert(command.id);
    }
    Some(set)
}

fn check(user: &User, db: u16, line: &str) -> Result<(), Denied> {
    let table = crate::families::install(std::iter::empty());
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let container = table.find(args[0]).expect("a command");
    let command = args.get(1).and_then(|name| table.find_subcommand(container, name)).unwrap_or(container);
    let checked = user.check(command, &args, db);
    // As one of many that follow each other it is asked about in another way.
    for mut likely in [0, 1, usize::MAX] {
        assert_eq!(user.in_row(command, db).allows(&args, &mut likely), checked.is_ok(), "{line}");
    }
    checked
}

#[test]
fn a_pattern_matches_as_a_glob_does() {
    for pattern in ["*", "a*", "a", "", "**", "a*b", "a?c", "[ab]*", "\\*", "a\\*", "*a", "app:{1}:*"] {
        for text in ["", "a", "b", "ab", "abc", "*", "a*", "ba", "app:{1}:x", "x*y", "aa", "azb"] {
            let expected = crate::glob::matches(pattern.as_bytes(), text.as_bytes());
            assert_eq!(Pattern::new(pattern.as_bytes()).matches(text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}

#[test]
fn keys_that_a_command_line_does_not_name_are_asked_about_with_it() {
    let table = crate::families::install(std::iter::empty());
    let own = |keys, names: &[&str]| Selector { keys, commands: commands(names), ..Selector::default() };
    let user = user(vec![
        own(keys(&[("r*", Uses::READ)]), &["get", "set"]),
        own(keys(&[("w*", Uses::BOTH), ("r*", Uses::BOTH)]), &["set"]),
    ]);
    let check = |name: &str, found: &[&str]| {
        let found: Vec<Vec<u8>> = found.iter().map(|key| key.as_bytes().to_vec()).collect();
        user.check_found(table.by_name(name).expect("a command"), &[name.as_bytes(), b"r", b"x"], 0, &found)
    };
    assert_eq!(check("get", &["r1", "r2"]), Ok(()));
    assert_eq!(check("get", &["r1", "w1"]), Err(1));
    assert_eq!(check("set", &["r1", "w1"]), Ok(()));
    assert_eq!(check("set", &["x"]), Err(0));
    assert_eq!(check("del", &[]), Err(0), "none of the sets allows the command");
}

#[test]
fn keys_are_allowed_by_what_is_done_to_them() {
    let user = user(vec![Selector {
        keys: keys(&[("r*", Uses::READ), ("w*", Uses::WRITE), ("b*", Uses::BOTH)]),
        ..Selector::all()
    }]);
    assert!(user.is_restricted());
    for (line, expected) in [
        ("GET r1", Ok(())),
        ("GET w1", Err(Denied::Key(1))),
        ("SET w1 x", Ok(())),
        ("SET w1 x GET", Err(Denied::Key(1))),
        ("SET b1 x GET", Ok(())),
        ("SET r1 x", Err(Denied::Key(1))),
        ("MSET w1 x w2 y", Ok(())),
        ("MSET w1 x r2 y", Err(Denied::Key(3))),
        ("EXISTS r1 w1 b1", Ok(())),
        ("EXISTS r1 other", Err(Denied::Key(2))),
        ("COPY r1 w1", Ok(())),
        ("COPY w1 r1", Err(Denied::Key(1))),
        ("SORT r1 STORE w1", Ok(())),
        ("SORT r1 STORE r2", Err(Denied::Key(3))),
        ("SORT r1 BY w* GET STORE STORE r2", Err(Denied::Key(7))),
        ("ZUNIONSTORE w1 2 r1 r2", Ok(())),
        ("ZUNIONSTORE w1 2 r1 w2", Err(Denied::Key(4))),
        ("BITFIELD r1 GET u8 0", Ok(())),
        ("BITFIELD r1 SET u8 0 1", Err(Denied::Key(1))),
        ("XREAD COUNT 1 STREAMS r1 r2 0 0", Ok(())),
        ("XREADGROUP COUNT 1 GROUP STREAMS b1 STREAMS other >", Err(Denied::Key(7))),
        ("XREADGROUP GROUP STREAMS NOACK NOACK STREAMS r1 >", Ok(())),
        ("EVAL script 1 b1", Ok(())),
        ("EVAL script 1 r1", Err(Denied::Key(3))),
        ("OBJECT ENCODING other", Err(Denied::Key(2))),
        ("OBJECT ENCODING w1", Ok(())),
        ("KEYS *", Ok(())),
    ] {
        assert_eq!(check(&user, 0, line), expected, "{line}");
    }
}

#[test]
fn commands_and_subcommands_are_allowed_one_by_one_and_by_their_first_argument() {
    let table = crate::families::install(std::iter::empty());
    let set = table.by_name("set").expect("SET").id;
    let selector = Selector {
        commands: commands(&["get", "object|encoding"]),
        first_arguments: vec![(set, vec![b"x".as_slice().into()])],
        ..Selector::all()
    };
    let user = user(vec![selector]);
    for (line, expected) in [
        ("get a", Ok(())),
        ("object encoding a", Ok(())),
        ("OBJECT FREQ a", Err(Denied::Command)),
        ("DEL a", Err(Denied::Command)),
        ("SET X 1", Ok(())),
        ("SET y 1", Err(Denied::Command)),
    ] {
        assert_eq!(check(&user, 0, line), expected, "{line}");
    }
}

#[test]
fn one_selector_must_allow_all_of_it_and_the_weightiest_reason_is_told() {
    let user = user(vec![
        Selector { commands: commands(&["get", "mget"]), keys: keys(&[("a*", Uses::BOTH)]), ..Selector::all() },
        Selector { commands: commands(&["set", "mget"]), keys: keys(&[("b*", Uses::BOTH)]), ..Selector::all() },
    ]);
    for (line, expected) in [
        ("GET a1", Ok(())),
        ("SET b1 x", Ok(())),
        ("GET b1", Err(Denied::Key(1))),
        ("MGET a1 b1", Err(Denied::Key(2))),
        ("MGET b1 b2 a1", Err(Denied::Key(3))),
        ("DEL a1", Err(Denied::Command)),
    ] {
        assert_eq!(check(&user, 0, line), expected, "{line}");
    }
}

#[test]
fn databases_are_those_that_are_selected_or_named() {
    let user = user(vec![Selector { databases: Some(AllowedDatabases::new(vec![0, 2], 4)), ..Selector::all() }]);
    for (db, line, expected) in [
        (0, "GET a", Ok(())),
        (1, "GET a", Err(Denied::Database(0))),
        (0, "FLUSHALL", Err(Denied::Database(0))),
        (2, "FLUSHDB", Ok(())),
        (0, "MOVE a 2", Ok(())),
        (0, "MOVE a 1", Err(Denied::Database(2))),
        (0, "COPY a b REPLACE DB 1", Err(Denied::Database(5))),
        (0, "COPY a b", Ok(())),
        (1, "COPY a b DB 0", Err(Denied::Database(0))),
        (0, "SWAPDB 0 1", Err(Denied::Database(2))),
        (1, "SWAPDB 0 2", Ok(())),
        // A database that is not there is refused by the command itself.
        (0, "SWAPDB 1 4", Ok(())),
        (0, "MOVE a 4", Ok(())),
        (1, "MOVE a 4", Err(Denied::Database(0))),
        (0, "COPY a b DB 4", Ok(())),
    ] {
        assert_eq!(check(&user, db, line), expected, "{db} {line}");
    }
}

#[test]
fn reading_beyond_the_named_keys_takes_the_right_to_read_all() {
    let table = crate::families::install(std::iter::empty());
    let sort = table.by_name("sort").expect("SORT");
    let args: Vec<&[u8]> = vec![b"sort", b"mine", b"by", b"other*"];
    let may = |selectors| user(selectors).may_read_beyond(sort, &args, 0);
    assert!(may(vec![Selector::all()]));
    assert!(!may(vec![Selector { keys: keys(&[("mine", Uses::BOTH)]), ..Selector::all() }]));
    assert!(!may(vec![Selector { keys: keys(&[("mine", Uses::BOTH), ("*", Uses::WRITE)]), ..Selector::all() }]));
    assert!(may(vec![Selector { keys: keys(&[("mine", Uses::BOTH), ("*", Uses::READ)]), ..Selector::all() }]));
    // What reads everything is another set of rights, without the command.
    let other = Selector { commands: commands(&["get"]), ..Selector::all() };
    assert!(!may(vec![Selector { keys: keys(&[("mine", Uses::BOTH)]), ..Selector::all() }, other]));
}

#[test]
fn a_password_is_known_by_its_digest() {
    let digest = sherd_types::sha256::sha256;
    let user = |enabled, any| User {
        is_enabled: enabled,
        needs_no_password: any,
        passwords: vec![digest(b"first"), digest(b"second")],
        ..User::new(b"somebody".to_vec(), vec![Selector::all()])
    };
    for (password, expected) in [("first", true), ("second", true), ("third", false), ("", false)] {
        assert_eq!(user(true, false).accepts(password.as_bytes()), expected);
        assert!(user(true, true).accepts(password.as_bytes()));
        assert!(!user(false, true).accepts(password.as_bytes()));
    }
}
