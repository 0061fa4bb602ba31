//! Command templates: text with placeholders into RESP bytes with holes.
//!
//! A hole is a run of decimal digits of fixed width, so filling it never moves a byte and never changes a length
//! prefix. That is what lets a prepared batch be reused for every send.

/// Width of `__rand_int__`, the one that redis-benchmark uses, so that key lengths compare.
const RANDOM_DIGITS: usize = 12;
/// More digits than any number below 2^32 needs, and bounded so that a template cannot ask for gigabytes.
const DIGITS_MAX: usize = 64;

/// One piece of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Digits(usize),
    Data,
}

/// A command whose arguments are made of pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    arguments: Vec<Vec<Piece>>,
}

/// Where a number goes in the encoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    pub offset: usize,
    pub width: usize,
    /// The first hole of its command: there the next number begins, in sequential order.
    pub is_first: bool,
}

impl Template {
    /// Parses arguments separated by blanks. An argument cannot hold a blank: no benchmark has needed one.
    pub fn parse(text: &str) -> Result<Template, String> {
        let arguments = text.split_whitespace().map(parse_argument).collect::<Result<Vec<_>, _>>()?;
        if arguments.is_empty() {
            return Err("a command template is empty".to_string());
        }
        Ok(Template { arguments })
    }

    /// Appends the command to `output` and its holes, in the order of the bytes, to `holes`.
    pub fn encode(&self, value_size_bytes: usize, output: &mut Vec<u8>, holes: &mut Vec<Hole>) {
        output.extend_from_slice(format!("*{}\r\n", self.arguments.len()).as_bytes());
        let mut is_first = true;
        for argument in &self.arguments {
            let length: usize = argument.iter().map(|piece| piece.length(value_size_bytes)).sum();
            output.extend_from_slice(format!("${length}\r\n").as_bytes());
            for piece in argument {
                match piece {
                    Piece::Text(text) => output.extend_from_slice(text),
                    Piece::Digits(width) => {
                        holes.push(Hole { offset: output.len(), width: *width, is_first });
                        is_first = false;
                        output.resize(output.len() + width, b'0');
                    }
                    Piece::Data => output.resize(output.len() + value_size_bytes, b'x'),
                }
            }
            output.extend_from_slice(b"\r\n");
        }
    }
}

impl Piece {
    fn length(&self, value_size_bytes: usize) -> usize {
        match self {
            Piece::Text(text) => text.len(),
            Piece::Digits(width) => *width,
            Piece::Data => value_size_bytes,
        }
    }
}

/// Reads `get`, `SET __key__ __data__` or either of them with a weight as in `get@9`.
pub fn parse_weighted(text: &str) -> Result<(Template, u32), String> {
    let (body, weight) = match text.rsplit_once('@') {
        Some((body, suffix)) if !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit()) => {
            let weight = suffix
                .parse::<u32>()
                .ok()
                .filter(|weight| (1..=1000).contains(weight))
                .ok_or("a weight is 1 to 1000")?;
            (body, weight)
        }
        _ => (text, 1),
    };
    let template = match named(body) {
        Some(text) => Template::parse(&text)?,
        None if body.split_whitespace().count() == 1 && body.starts_with(|first: char| first.is_lowercase()) => {
            return Err(format!("unknown command name {body:?}; a template starts in upper case"));
        }
        None => Template::parse(body)?,
    };
    Ok((template, weight))
}

/// The commands that redis-benchmark also has, with its key names, so that figures compare.
fn named(name: &str) -> Option<String> {
    let text = match name {
        "ping" => "PING",
        "get" => "GET key:__rand_int__",
        "set" => "SET key:__rand_int__ __data__",
        "incr" => "INCR counter:__rand_int__",
        "lpush" => "LPUSH mylist __data__",
        "rpop" => "RPOP mylist",
        "sadd" => "SADD myset element:__rand_int__",
        "hset" => "HSET myhash element:__rand_int__ __data__",
        "zadd" => "ZADD myzset __rand_int__ element:__rand_int__",
        "spop" => "SPOP myset",
        "lrange_100" => "LRANGE mylist 0 99",
        "mset" => return Some(format!("MSET{}", " key:__rand_int__ __data__".repeat(10))),
        _ => return None,
    };
    Some(text.to_string())
}

fn parse_argument(word: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let Some(start) = rest.find("__") else {
            pieces.push(Piece::Text(rest.as_bytes().to_vec()));
            break;
        };
        if start > 0 {
            pieces.push(Piece::Text(rest.as_bytes()[..start].to_vec()));
        }
        let inner = &rest[start + 2..];
        let end = inner.find("__").ok_or_else(|| format!("a placeholder in {word:?} is not closed"))?;
        match &inner[..end] {
            "rand_int" => pieces.push(Piece::Digits(RANDOM_DIGITS)),
            "key" => {
                pieces.push(Piece::Text(b"key:".to_vec()));
                pieces.push(Piece::Digits(RANDOM_DIGITS));
            }
            "data" => pieces.push(Piece::Data),
            name => {
                let width = name.strip_prefix("int:").and_then(|digits| digits.parse::<usize>().ok());
                match width {
                    Some(width) if (1..=DIGITS_MAX).contains(&width) => pieces.push(Piece::Digits(width)),
                    _ => return Err(format!("unknown placeholder __{name}__")),
                }
            }
        }
        rest = &inner[end + 2..];
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, value_size_bytes: usize) -> (Vec<u8>, Vec<Hole>) {
        let (template, _) = parse_weighted(text).expect("template is valid");
        let (mut output, mut holes) = (Vec::new(), Vec::new());
        template.encode(value_size_bytes, &mut output, &mut holes);
        (output, holes)
    }

    #[test]
    fn a_template_becomes_resp_with_a_hole_at_every_number() {
        let (bytes, holes) = encoded("SET k:__int:3__ __data__", 4);
        assert_eq!(bytes, b"*3\r\n$3\r\nSET\r\n$5\r\nk:000\r\n$4\r\nxxxx\r\n");
        assert_eq!(holes, [Hole { offset: 19, width: 3, is_first: true }]);
    }

    #[test]
    fn mset_writes_ten_pairs() {
        let (bytes, holes) = encoded("mset", 1);
        assert!(bytes.starts_with(b"*21\r\n$4\r\nMSET\r\n$16\r\nkey:000000000000\r\n$1\r\nx\r\n"));
        assert_eq!(holes.len(), 10);
        assert_eq!(holes.iter().filter(|hole| hole.is_first).count(), 1);
    }

    #[test]
    fn a_weight_is_taken_only_from_digits_after_the_last_at_sign() {
        assert_eq!(parse_weighted("get@9").expect("valid").1, 9);
        let (template, weight) = parse_weighted("SET user@example 1").expect("valid");
        assert_eq!((template.arguments.len(), weight), (3, 1));
        assert!(parse_weighted("get@0").is_err());
    }

    #[test]
    fn misspelt_names_and_placeholders_are_refused() {
        for text in ["gett", "GET __kay__", "GET __key", "", "GET __int:0__", "GET __int:999999__"] {
            assert!(parse_weighted(text).is_err(), "{text:?} was accepted");
        }
    }
}
