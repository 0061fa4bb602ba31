//! A library of functions: its source, its name, and what it has registered.

use std::sync::atomic::{AtomicI32, Ordering};

use sherd_shards::handler::args::split_words;

use crate::shebang::Flags;

/// Of a library and of a function.
const BAD_LIBRARY_NAME: &str =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// The number of the library that was made last; each is one of its own in the whole process, as a thread's runtime may serve
/// several servers.
static LAST_ID: AtomicI32 = AtomicI32::new(0);

/// What a function is called, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: Box<[u8]>,
    pub description: Option<Box<[u8]>>,
    pub flags: Flags,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Library {
    /// Its number among all that there have been in this process: another one when the same source is loaded again.
    pub id: i32,
    pub name: Box<[u8]>,
    pub source: Box<[u8]>,
    /// Where the text begins that is compiled, after the first line's words.
    body: usize,
    /// What it has registered, by name; empty until it was loaded.
    pub functions: Vec<Function>,
}

impl Library {
    /// Of a source, which is not looked at beyond its first line.
    pub fn of_source(source: &[u8]) -> Result<Library, String> {
        let (name, body) = parse(source)?;
        let id = LAST_ID.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & i32::MAX;
        Ok(Library { id, name: name.into(), source: source.into(), body, functions: Vec::new() })
    }

    /// The text that is compiled.
    pub fn body(&self) -> &[u8] {
        &self.source[self.body..]
    }

    /// Takes what a run of it has registered.
    pub fn with_functions(mut self, mut functions: Vec<Function>) -> Library {
        functions.sort_by(|a, b| a.name.cmp(&b.name));
        self.functions = functions;
        self
    }

    /// Bytes that it takes, without what Lua has made of it.
    pub fn bytes(&self) -> usize {
        let of_function = |function: &Function| {
            size_of::<Function>() + function.name.len() + function.description.as_ref().map_or(0, |text| text.len())
        };
        let functions: usize = self.functions.iter().map(of_function).sum();
        size_of::<Library>() + self.name.len() + self.source.len() + functions
    }
}

/// Whether a library or a function may be called so.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The name in a source's first line, and where its text begins: the line break stays, so that lines keep their numbers.
fn parse(source: &[u8]) -> Result<(Vec<u8>, usize), String> {
    if !source.starts_with(b"#!") {
        return Err("Missing library metadata".to_owned());
    }
    // As a C string: a zero byte ends it.
    let ends = source.iter().position(|&byte| byte == b'\n' || byte == 0).filter(|&at| source[at] == b'\n');
    let end = ends.ok_or("Invalid library metadata")?;
    let words = split_words(&source[..end]).filter(|words| !words.is_empty()).ok_or("Invalid library metadata")?;
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut name = None;
    for word in &words[1..] {
        match word.split_at_checked(b"name=".len()) {
            Some((key, _)) if key.eq_ignore_ascii_case(b"name=") && name.is_some() => {
                return Err("Invalid metadata value, name argument was given multiple times".to_owned());
            }
            Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => name = Some(value.to_vec()),
            _ => return Err(format!("Invalid metadata value given: {}", shown(word))),
        }
    }
    let name = name.ok_or("Library name was not given")?;
    if !is_name(&name) {
        return Err(BAD_LIBRARY_NAME.to_owned());
    }
    let engine = &words[0][2..];
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(format!("Engine '{}' not found", shown(engine)));
    }
    Ok((name, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_library() {
        for source in ["#!lua name=some_Name1\nx", "#!LUA NAME=some_Name1\nx", "#!lua  \"name=some_Name1\"\t\nx"] {
            let library = Library::of_source(source.as_bytes()).expect("it is well-formed");
            assert_eq!((&*library.name, library.body()), (&b"some_Name1"[..], &b"\nx"[..]), "{source}");
        }
    }

    #[test]
    fn what_the_first_line_lacks_is_told() {
        for (source, expected) in [
            ("", "Missing library metadata"),
            ("return 1", "Missing library metadata"),
            ("#!lua name=x", "Invalid library metadata"),
            ("#!lua name=\"x\n", "Invalid library metadata"),
            ("#!lua\n", "Library name was not given"),
            ("#!lua name=x name=y\n", "Invalid metadata value, name argument was given multiple times"),
            ("#!lua name=x flags=y\n", "Invalid metadata value given: flags=y"),
            ("#!lua name=\n", BAD_LIBRARY_NAME),
            ("#!lua name=a-b\n", BAD_LIBRARY_NAME),
            ("#!python name=x\n", "Engine 'python' not found"),
        ] {
            assert_eq!(Library::of_source(source.as_bytes()).expect_err("it is malformed"), expected, "{source}");
        }
    }
}
