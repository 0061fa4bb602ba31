//! Commands as RESP, the form in which files and links carry them.

use sherd_types::number::append_i64;

fn header(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    match number {
        // What nearly all are.
        0..=9 => out.push(b'0' + number as u8),
        10..=99 => out.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]),
        _ => append_i64(out, number as i64),
    }
    out.extend_from_slice(b"\r\n");
}

/// Begins a command of so many parts.
pub fn begin(out: &mut Vec<u8>, parts: usize) {
    header(out, b'*', parts);
}

/// Parts from this size on get their room at once: the line end behind one would double it.
const BIG_PART: usize = 512;
/// What a part has around it, at most.
const AROUND_PART: usize = 32;

/// Adds a part.
pub fn part(out: &mut Vec<u8>, part: &[u8]) {
    if part.len() >= BIG_PART {
        out.reserve(part.len() + AROUND_PART);
    }
    header(out, b'$', part.len());
    out.extend_from_slice(part);
    out.extend_from_slice(b"\r\n");
}

/// Adds a command.
pub fn append(out: &mut Vec<u8>, parts: &[&[u8]]) {
    begin(out, parts.len());
    parts.iter().for_each(|text| part(out, text));
}

/// Adds the command that selects a database.
pub fn append_select(out: &mut Vec<u8>, db: u16) {
    let mut number = Vec::with_capacity(5);
    append_i64(&mut number, i64::from(db));
    append(out, &[b"SELECT", &number]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_its_parts() {
        let mut out = Vec::new();
        append(&mut out, &[b"SET", b"key-of-ten", &[b'x'; 120]]);
        let expected = format!("*3\r\n$3\r\nSET\r\n$10\r\nkey-of-ten\r\n$120\r\n{}\r\n", "x".repeat(120));
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn a_big_command_takes_little_more_than_its_parts() {
        let mut out = Vec::with_capacity(256);
        append(&mut out, &[b"SET", b"key", &[b'x'; 100_000]]);
        assert!(out.capacity() < 100_200, "{}", out.capacity());
    }

    #[test]
    fn a_database_is_selected_by_its_number() {
        let mut out = Vec::new();
        append_select(&mut out, 11);
        assert_eq!(out, b"*2\r\n$6\r\nSELECT\r\n$2\r\n11\r\n");
    }
}
