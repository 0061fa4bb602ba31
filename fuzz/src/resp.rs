//! A strict reader of replies: one value, nothing before or after it, RESP3 types only for who speaks RESP3.
//!
//! It is stricter than any client has to be, and shares no code with the writer that it checks.

/// Deeper replies than this do not exist.
const DEPTH_MAX: usize = 16;

/// Whether `reply` is exactly one well-formed value.
pub fn check_one(reply: &[u8], resp3: bool) -> Result<(), String> {
    let end = value(reply, 0, resp3, 0)?;
    if end == reply.len() {
        Ok(())
    } else {
        Err(format!("{} bytes after the value", reply.len() - end))
    }
}

/// Reads the value at `at` and gives where it ends.
fn value(bytes: &[u8], at: usize, resp3: bool, depth: usize) -> Result<usize, String> {
    if depth > DEPTH_MAX {
        return Err("nested too deeply".to_owned());
    }
    let (text, end) = line(bytes, at)?;
    let (kind, text) = (text[0], &text[1..]);
    match kind {
        b'+' => Ok(end),
        // An error has a code in capitals first, by which clients tell errors apart.
        b'-' if text.first().is_some_and(u8::is_ascii_uppercase) => Ok(end),
        b':' => integer(text).map(|_| end),
        b'$' if text == b"-1" && !resp3 => Ok(end),
        b'$' => bulk(bytes, end, text),
        b'*' if text == b"-1" && !resp3 => Ok(end),
        b'*' => elements(bytes, end, length(text)?, resp3, depth),
        _ if !resp3 => Err(format!("a type of RESP3 in RESP2: {:?}", char::from(kind))),
        b'~' | b'>' => elements(bytes, end, length(text)?, resp3, depth),
        b'%' => elements(bytes, end, 2 * length(text)?, resp3, depth),
        b'_' if text.is_empty() => Ok(end),
        b'#' if text == b"t" || text == b"f" => Ok(end),
        b',' => double(text).map(|()| end),
        b'(' => Ok(end),
        b'=' if bytes.get(end + 3) == Some(&b':') => bulk(bytes, end, text),
        _ => Err(format!("no value: {:?} {:?}", char::from(kind), String::from_utf8_lossy(text))),
    }
}

/// The line at `at`, which is not empty and has no stray CR or LF, and where the next one begins.
fn line(bytes: &[u8], at: usize) -> Result<(&[u8], usize), String> {
    let rest = &bytes[at.min(bytes.len())..];
    let end = rest.iter().position(|&byte| byte == b'\r' || byte == b'\n').ok_or("a line without an end")?;
    if end == 0 || rest.get(end..end + 2) != Some(b"\r\n") {
        return Err(format!("a line that is empty or ends wrongly: {:?}", String::from_utf8_lossy(&rest[..end])));
    }
    Ok((&rest[..end], at + end + 2))
}

fn bulk(bytes: &[u8], at: usize, text: &[u8]) -> Result<usize, String> {
    let end = at.checked_add(length(text)?).ok_or("a length beyond all bounds")?;
    if bytes.get(end..end + 2) == Some(b"\r\n") {
        Ok(end + 2)
    } else {
        Err("a string that is not followed by CRLF".to_owned())
    }
}

fn elements(bytes: &[u8], mut at: usize, count: usize, resp3: bool, depth: usize) -> Result<usize, String> {
    for _ in 0..count {
        at = value(bytes, at, resp3, depth + 1)?;
    }
    Ok(at)
}

/// An integer in its one way of being written.
fn integer(text: &[u8]) -> Result<i64, String> {
    let shown = String::from_utf8_lossy(text);
    match shown.parse::<i64>() {
        Ok(value) if value.to_string() == shown => Ok(value),
        _ => Err(format!("no integer: {shown:?}")),
    }
}

fn length(text: &[u8]) -> Result<usize, String> {
    usize::try_from(integer(text)?).map_err(|_| "a negative length".to_owned())
}

fn double(text: &[u8]) -> Result<(), String> {
    let shown = String::from_utf8_lossy(text);
    match shown.as_ref() {
        "inf" | "-inf" | "nan" => Ok(()),
        _ if shown.parse::<f64>().is_ok_and(f64::is_finite) => Ok(()),
        _ => Err(format!("no double: {shown:?}")),
    }
}

/// The strings of a flat RESP2 array, or the one string.
pub fn strings(reply: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < reply.len() {
        let Ok((text, end)) = line(reply, at) else { break };
        at = end;
        match text[0] {
            b'$' if text != b"$-1" => {
                let length = length(&text[1..]).unwrap_or(0);
                found.push(reply[at..at + length].to_vec());
                at += length + 2;
            }
            b':' | b'+' => found.push(text[1..].to_vec()),
            _ => {}
        }
    }
    found
}
