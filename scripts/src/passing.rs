//! Replies that a script returns as it got them: what `return redis.call(...)` answers needs no values of Lua.
//!
//! Most scripts end so. The reply that the command has written is then what the client gets, if it is of a kind that becomes the
//! same again on its way through Lua: nearly all are. Those that do not, such as large integers, which Lua has not, and what is
//! null, take that way.

/// Bytes of a reply that is looked at: the reply of a script has a bound, and what is long is checked in the usual way.
const BYTES_MAX: usize = 64 << 20;
/// Characters of an integer that Lua's numbers have exactly, and of a length.
const INTEGER_MAX: usize = 15;

/// Whether a command's reply is what the client gets if a script returns the value that it is in Lua.
#[inline]
pub fn is_passed(reply: &[u8]) -> bool {
    if reply.len() > BYTES_MAX {
        return false;
    }
    match reply.first() {
        // What an element of an array may not be, for it is a table.
        Some(b'+') => reply.iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0)) == reply.len().checked_sub(2),
        Some(b'*') => is_passed_array(reply),
        _ => element(reply).is_some_and(<[u8]>::is_empty),
    }
}

/// What follows an element that is passed.
#[inline(always)]
fn element(reply: &[u8]) -> Option<&[u8]> {
    let (&kind, rest) = reply.split_first()?;
    let (mut at, mut number) = (0, 0);
    let end = loop {
        match *rest.get(at)? {
            b'\r' => break at,
            digit @ b'0'..=b'9' if at < INTEGER_MAX => number = number * 10 + usize::from(digit - b'0'),
            b'-' if at == 0 && kind == b':' => {}
            _ => return None,
        }
        at += 1;
    };
    match kind {
        b'$' => rest.get(end + 2 + number + 2..),
        b':' => rest.get(end + 2..),
        _ => None,
    }
}

#[inline(never)]
fn is_passed_array(reply: &[u8]) -> bool {
    let Some(end) = reply.iter().position(|&byte| byte == b'\n') else { return false };
    if reply[1] == b'-' {
        return false;
    }
    let mut rest = &reply[end + 1..];
    while !rest.is_empty() {
        let Some(next) = element(rest) else { return false };
        rest = next;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_the_same_again_is_passed() {
        for reply in ["+OK\r\n", "$3\r\nabc\r\n", "$0\r\n\r\n", ":12\r\n", ":-12345678901234\r\n", "*0\r\n"] {
            assert!(is_passed(reply.as_bytes()), "{reply}");
        }
        assert!(is_passed(b"*3\r\n$3\r\na\r\n\r\n:1\r\n$1\r\nb\r\n"));
        assert!(is_passed([&b"$2000\r\n"[..], &[b'\r'; 2000], b"\r\n"].concat().as_slice()));
    }

    #[test]
    fn what_may_become_something_else_is_not() {
        for reply in [
            "",
            "-ERR x\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "_\r\n",
            "#t\r\n",
            ",1.5\r\n",
            "(12\r\n",
            "%0\r\n",
            "~0\r\n",
            "=7\r\ntxt:abc\r\n",
            ":9007199254740993\r\n",
            "+a\rb\r\n",
            "+a\0b\r\n",
            "*1\r\n$-1\r\n",
            "*1\r\n*0\r\n",
            "*1\r\n+OK\r\n",
            "*2\r\n:1\r\n_\r\n",
            "$5\r\nabc\r\n",
            ":1",
        ] {
            assert!(!is_passed(reply.as_bytes()), "{reply}");
        }
    }
}
