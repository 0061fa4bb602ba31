//! Tests of the request parser.

use super::*;

const LIMITS: Limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };

fn parse(bytes: &[u8]) -> Result<(Parsed, Vec<Vec<u8>>), ProtocolError> {
    let mut parser = Parser::default();
    let parsed = parser.next(bytes, LIMITS)?;
    let args = parser.args().iter().map(|&(start, end)| bytes[start..end].to_vec()).collect();
    Ok((parsed, args))
}

#[test]
fn a_request_is_found_whole_and_byte_by_byte() {
    let request = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$12\r\nhello\r\nworld\r\n*1\r\n";
    let length = request.len() - 4;
    let (parsed, args) = parse(request).expect("a request");
    assert_eq!(parsed, Parsed::Command(length));
    assert_eq!(args, [b"SET".to_vec(), b"key".to_vec(), b"hello\r\nworld".to_vec()]);
    let mut parser = Parser::default();
    for end in 0..length {
        assert!(matches!(parser.next(&request[..end], LIMITS), Ok(Parsed::Incomplete(_))), "{end}");
    }
    assert_eq!(parser.next(request, LIMITS), Ok(Parsed::Command(length)));
    assert_eq!(parser.args().len(), 3);
}

#[test]
fn a_short_request_is_what_the_parser_finds() {
    let texts = ["", "a", "GET", "0123456789", "0123456789abcdefghij"].map(str::to_owned);
    let lengths = [99, 100, 999, 1000].map(|length| "v".repeat(length));
    for text in texts.iter().chain(&lengths) {
        for count in 1..=SHORT_ARGS_MAX + 1 {
            let mut request = format!("*{count}\r\n").into_bytes();
            (0..count).for_each(|_| request.extend(format!("${}\r\n{text}\r\n", text.len()).bytes()));
            let length = request.len();
            request.extend(b"*1\r\n");
            let mut args: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
            let is_short = count <= SHORT_ARGS_MAX && text.len() <= SHORT_ARG_BYTES_MAX;
            assert_eq!(short_request(&request, &mut args), is_short.then_some((count, length)));
            if is_short {
                assert!(args[..count].iter().all(|arg| *arg == text.as_bytes()));
            }
            let (parsed, long) = parse(&request).expect("a request");
            assert_eq!((parsed, long.len()), (Parsed::Command(length), count));
            for end in 0..length {
                assert_eq!(short_request(&request[..end], &mut args), None, "{end} bytes of {length}");
            }
        }
    }
    for odd in ["*0\r\n", "*1\r\n$01\r\na\r\n", "*1\r\n$-1\r\n", "*1\r\n:1\r\n", "*x\r\n$1\r\na\r\n", "PING\r\n"] {
        assert_eq!(short_request(odd.as_bytes(), &mut [&[]; SHORT_ARGS_MAX]), None, "{odd:?}");
    }
}

#[test]
fn a_long_request_is_found_whole_and_in_two_parts_cut_anywhere() {
    let args: Vec<Vec<u8>> =
        (0..24).map(|at| vec![b'a' + at as u8; [0, 1, 9, 10, 99, 100, 999, 1000][at % 8]]).collect();
    let mut request = format!("*{}\r\n", args.len()).into_bytes();
    for arg in &args {
        request.extend(format!("${}\r\n", arg.len()).bytes().chain(arg.iter().copied()).chain(*b"\r\n"));
    }
    let length = request.len();
    request.extend(b"*1\r\n");
    assert_eq!(parse(&request), Ok((Parsed::Command(length), args.clone())));
    for end in 0..length {
        let mut parser = Parser::default();
        assert!(matches!(parser.next(&request[..end], LIMITS), Ok(Parsed::Incomplete(_))), "{end}");
        assert_eq!(parser.next(&request, LIMITS), Ok(Parsed::Command(length)), "{end}");
        assert!(parser.args().iter().zip(&args).all(|(&(start, end), arg)| request[start..end] == **arg), "{end}");
    }
    let limits = Limits { bulk_bytes_max: 500, ..LIMITS };
    assert_eq!(Parser::default().next(&request, limits), Err(error("invalid bulk length")));
}

#[test]
fn a_request_with_the_prefix_of_another_is_what_the_parser_finds() {
    let request = |args: &[&str]| -> Vec<u8> {
        let arg = |arg: &&str| format!("${}\r\n{arg}\r\n", arg.len());
        format!("*{}\r\n{}", args.len(), args.iter().map(arg).collect::<String>()).into_bytes()
    };
    for name in ["GET", "lpush", "getdel", "zadd", "HEXISTS", "SETRANGE", "zrevrange", "a"] {
        let first = request(&[name, "key", "value"]);
        let prefix = RequestPrefix::new(&first, &[name.as_bytes(), b"key", b"value"]);
        for others in [["", "x"], ["another key", "y"], ["k", &"v".repeat(SHORT_ARG_BYTES_MAX)]] {
            let next = [request(&[name, others[0], others[1]]), b"*1".to_vec()].concat();
            let length = next.len() - 2;
            let mut args: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
            args[0] = name.as_bytes();
            assert_eq!(prefix.request(&next, &mut args), Some(length));
            assert_eq!(args[..prefix.count], [name, others[0], others[1]].map(str::as_bytes));
            for end in 0..length {
                assert_eq!(prefix.request(&next[..end], &mut args), None, "{end} bytes of {length}");
            }
        }
        let long = "v".repeat(SHORT_ARG_BYTES_MAX + 1);
        let longer_name = format!("{name}s");
        let others: [&[&str]; 5] = [
            &[name, "key"],
            &[name, "key", "v", "w"],
            &[&longer_name, "k", "v"],
            &["other", "k", "v"],
            &[name, "", &long],
        ];
        for other in others {
            assert_eq!(prefix.request(&request(other), &mut [&[]; SHORT_ARGS_MAX]), None, "{other:?} after {name}");
        }
        // One byte of the head differs, wherever it is.
        // Nor is one taken whose line ends are none; only the parser tells of it.
        for (at, _) in first.iter().enumerate().filter(|(_, byte)| b"\r\n".contains(byte)) {
            let mut broken = first.clone();
            broken[at] = b'X';
            assert_eq!(prefix.request(&broken, &mut [&[]; SHORT_ARGS_MAX]), None, "line end at {at}");
            assert_eq!(short_request(&broken, &mut [&[]; SHORT_ARGS_MAX]), None, "line end at {at}");
            assert!(parse(&broken).is_err(), "line end at {at}");
        }
        for at in 0..10 + name.len() {
            let mut changed = first.clone();
            changed[at] ^= 1;
            assert_eq!(prefix.request(&changed, &mut [&[]; SHORT_ARGS_MAX]), None, "byte {at}");
        }
    }
}

#[test]
fn what_is_no_request_gets_the_error_of_redis() {
    let long = [b"*".as_slice(), &[b'1'; LINE_MAX + 2]].concat();
    for (bytes, text) in [
        (b"*3000000000\r\n".as_slice(), "invalid multibulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$01\r\n", "invalid bulk length"),
        (&long, "too big mbulk count string"),
        (b"*1\rX", "invalid CRLF in request"),
        (b"*x\rX", "invalid CRLF in request"),
        (b"*12\rX", "invalid CRLF in request"),
        (b"*0\rX*1\r\n", "invalid CRLF in request"),
        (b"*1\r\n$4\rXPING\r\n", "invalid CRLF in request"),
        (b"*1\r\n$-1\rX", "invalid CRLF in request"),
        (b"*1\r\n$10\rX0123456789\r\n", "invalid CRLF in request"),
        (b"*1\r\n$4\r\nPINGXX", "invalid CRLF in request"),
        (b"*1\r\n$4\r\nPING\rX", "invalid CRLF in request"),
        (b"*1\r\n$4\r\nPINGX\n", "invalid CRLF in request"),
        (b"*1\r\n$3\r\nPING\r\n", "invalid CRLF in request"),
        (&[b'a'; LINE_MAX + 1], "too big inline request"),
    ] {
        assert_eq!(parse(bytes).expect_err("refused").0, text);
    }
    // What may still become a line's end is waited for.
    for bytes in [b"*1\r".as_slice(), b"*1\r\n$4\r", b"*1\r\n$4\r\nPING", b"*1\r\n$4\r\nPING\r", b"*1\r\n$4\r\nPINGX"] {
        assert!(matches!(parse(bytes), Ok((Parsed::Incomplete(_), _))), "{bytes:?}");
    }
    let limits = Limits { authenticated: false, ..LIMITS };
    assert!(Parser::default().next(b"*11\r\n", limits).is_err());
    assert!(Parser::default().next(b"*1\r\n$16385\r\n", limits).is_err());
}

#[test]
fn empty_requests_are_skipped() {
    assert_eq!(parse(b"*0\r\n").expect("fine").0, Parsed::Nothing(4));
    assert_eq!(parse(b"*-1\r\n").expect("fine").0, Parsed::Nothing(5));
    assert_eq!(parse(b"\r\n").expect("fine").0, Parsed::Nothing(2));
    assert_eq!(parse(b"PING\r\nX").expect("fine").0, Parsed::Inline(6));
}

#[test]
fn what_many_arguments_take_is_counted_and_given_back() {
    let mut request = b"*10000\r\n".to_vec();
    (0..10_000).for_each(|_| request.extend(b"$1\r\na\r\n"));
    let mut parser = Parser::default();
    assert!(matches!(parser.next(&request[..request.len() - 1], LIMITS), Ok(Parsed::Incomplete(_))));
    assert!(parser.bytes() >= 9999 * size_of::<(usize, usize)>());
    assert_eq!(parser.next(&request, LIMITS), Ok(Parsed::Command(request.len())));
    parser.release();
    assert_eq!(parser.bytes(), 0);
    assert!(matches!(parser.next(b"*1\r\n$4\r\nPING\r\n", LIMITS), Ok(Parsed::Command(14))));
    let few = parser.bytes();
    parser.release();
    assert_eq!(parser.bytes(), few, "room for a few stays");
}
