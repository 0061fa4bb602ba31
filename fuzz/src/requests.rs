//! Requests as bytes from a socket.
//!
//! Whatever comes, offsets stay inside of the buffer, a request that arrives in pieces is the same request, or the same
//! error, as one that arrives at once, and the parser keeps no more than its input justifies.

use sherd_ioth::protocol::inline::split_inline;
use sherd_ioth::protocol::parser::{
    short_request, Limits, Parsed, Parser, ProtocolError, RequestPrefix, SHORT_ARGS_MAX,
};

/// Longer than any fuzz input, so that a whole buffer and a growing one meet the same limits.
const LIMITS: Limits = Limits { bulk_bytes_max: 1 << 20, authenticated: true };

type Requests = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Sizes of the pieces in which `data` becomes visible: taken from the data itself, from 1 on.
fn pieces(data: &[u8]) -> impl FnMut() -> usize + '_ {
    let mut bytes = data.iter().rev().cycle();
    move || match bytes.next() {
        Some(byte) => 1 + usize::from(byte % 23),
        None => 1,
    }
}

/// All requests of `data`, which becomes visible in steps.
fn requests(data: &[u8], mut step: impl FnMut() -> usize, limits: Limits) -> Requests {
    let mut found = Vec::new();
    let mut parser = Parser::default();
    let (mut start, mut end) = (0, step().min(data.len()));
    loop {
        let buffer = &data[start..end];
        let taken = match parser.next(buffer, limits) {
            Err(error) => return (found, Some(error)),
            Ok(Parsed::Nothing(length)) => length,
            Ok(Parsed::Command(length)) => {
                assert!(length <= buffer.len());
                // The shortest argument takes six bytes.
                assert!(parser.args().len() <= length / 6, "more arguments than the bytes can hold");
                found.push(parser.args().iter().map(|&(from, to)| buffer[from..to].to_vec()).collect());
                length
            }
            Ok(Parsed::Inline(length)) => {
                assert!(length <= buffer.len());
                match split_inline(&buffer[..length]) {
                    Ok(words) => found.push(words),
                    Err(error) => return (found, Some(error)),
                }
                length
            }
            Ok(Parsed::Incomplete(missing)) => {
                assert!(missing > 0);
                assert!(parser.args().len() <= buffer.len() / 6, "more arguments than the bytes can hold");
                if end == data.len() {
                    return (found, None);
                }
                end = (end + step().max(1)).min(data.len());
                continue;
            }
        };
        assert!(taken > 0, "a request of no bytes would be found for ever");
        start += taken;
    }
}

/// What the short way takes, the long way takes as the same request.
fn short_requests(mut data: &[u8]) {
    let mut args: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
    while let Some((count, length)) = short_request(data, &mut args) {
        let mut parser = Parser::default();
        assert_eq!(parser.next(data, LIMITS), Ok(Parsed::Command(length)));
        let long: Vec<&[u8]> = parser.args().iter().map(|&(from, to)| &data[from..to]).collect();
        assert_eq!(long, args[..count]);
        let rest = &data[length..];
        // And so does what goes by the prefix of the request before.
        if args[0].len() < 10 {
            let mut again: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
            let mut whole: [&[u8]; SHORT_ARGS_MAX] = [&[]; SHORT_ARGS_MAX];
            if let Some(length) = RequestPrefix::new(data, &args[..count]).request(rest, &mut again) {
                assert_eq!(short_request(rest, &mut whole), Some((count, length)));
                assert_eq!(again[1..count], whole[1..count]);
                assert!(whole[0] == args[0]);
            }
        }
        data = rest;
    }
}

/// Requests at once, byte by byte, and in pieces of any size.
pub fn chunks(data: &[u8]) {
    short_requests(data);
    for limits in [LIMITS, Limits { authenticated: false, ..LIMITS }, Limits { bulk_bytes_max: 8, ..LIMITS }] {
        let whole = requests(data, || data.len().max(1), limits);
        assert_eq!(whole, requests(data, || 1, limits), "byte by byte");
        assert_eq!(whole, requests(data, pieces(data), limits), "in pieces");
    }
}

/// Words of an inline line survive being quoted and split again, and bytes only ever come from the line.
pub fn inline_words(data: &[u8]) {
    let line = data.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let Ok(words) = split_inline(line) else { return };
    assert!(words.iter().map(Vec::len).sum::<usize>() <= line.len());
    let mut quoted = Vec::new();
    for word in &words {
        quoted.push(b'"');
        for byte in word {
            quoted.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
        quoted.extend_from_slice(b"\" ");
    }
    quoted.extend_from_slice(b"\r\n");
    assert_eq!(split_inline(&quoted), Ok(words));
}
