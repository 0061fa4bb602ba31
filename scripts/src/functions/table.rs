//! All libraries of a server.
//!
//! Whatever changes them begins a new version. Threads keep what they have found, in a [`Recent`], and what their runtimes have
//! loaded, and look at the version with every call: a change is seen by the next one on every thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::library::{Function, Library};
use crate::shebang::Flags;

/// The version that was begun last: each is one of its own in all tables, as a thread may serve several.
static LAST_VERSION: AtomicU64 = AtomicU64::new(0);

/// A function and the library that it is in.
#[derive(Clone, Debug)]
pub struct Found {
    pub library: Arc<Library>,
    number: usize,
}

impl Found {
    /// The function.
    pub fn function(&self) -> &Function {
        &self.library.functions[self.number]
    }
}

/// What becomes of libraries that are there already when others are restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    /// All of them go.
    Flush,
    /// They stay; one of the same name is an error.
    Append,
    /// Those of the same name go.
    Replace,
}

/// Libraries by name, and functions by name.
#[derive(Clone, Default)]
pub struct Known {
    libraries: BTreeMap<Box<[u8]>, Arc<Library>>,
    /// By their names in lower case: a function is called in whatever case its letters are.
    functions: HashMap<Box<[u8]>, Found>,
}

fn lower(name: &[u8]) -> Box<[u8]> {
    name.to_ascii_lowercase().into()
}

impl Known {
    /// Adds one that was loaded; an error is its text.
    pub fn add(&mut self, library: Library, replace: bool) -> Result<(), String> {
        let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let old = self.libraries.get(&library.name).map(Arc::clone);
        if old.is_some() && !replace {
            return Err(format!("Library '{}' already exists", shown(&library.name)));
        }
        if library.functions.is_empty() {
            return Err("No functions registered".to_owned());
        }
        let is_others =
            |name: &[u8]| self.functions.get(&lower(name)).is_some_and(|found| found.library.name != library.name);
        if let Some(function) = library.functions.iter().find(|function| is_others(&function.name)) {
            return Err(format!("Function {} already exists", shown(&function.name)));
        }
        self.insert(Arc::new(library));
        Ok(())
    }

    fn insert(&mut self, library: Arc<Library>) {
        self.remove(&library.name);
        for (number, function) in library.functions.iter().enumerate() {
            // Of two in one library that differ by case only, the first is the one that is called.
            self.functions
                .entry(lower(&function.name))
                .or_insert_with(|| Found { library: Arc::clone(&library), number });
        }
        self.libraries.insert(library.name.clone(), library);
    }

    fn remove(&mut self, name: &[u8]) -> Option<Arc<Library>> {
        let library = self.libraries.remove(name)?;
        library.functions.iter().for_each(|function| {
            self.functions.remove(&lower(&function.name));
        });
        Some(library)
    }

    /// Adds others, all or none.
    fn join(&mut self, others: Known, replace: bool) -> Result<(), String> {
        let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        if let Some(name) = others.libraries.keys().find(|name| !replace && self.libraries.contains_key(*name)) {
            return Err(format!("Library {} already exists", shown(name)));
        }
        let stays = |found: &&Found| !others.libraries.contains_key(&found.library.name);
        for (name, found) in &others.functions {
            if self.functions.get(name).filter(stays).is_some() {
                return Err(format!("Function {} already exists", shown(&found.function().name)));
            }
        }
        others.libraries.into_values().for_each(|library| self.insert(library));
        Ok(())
    }
}

/// See the [module](self).
pub struct Libraries {
    known: RwLock<Known>,
    version: AtomicU64,
}

/// Numbers for INFO and FUNCTION STATS.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct LibraryNumbers {
    pub libraries: usize,
    pub functions: usize,
    pub bytes: usize,
}

impl Default for Libraries {
    fn default() -> Libraries {
        let libraries = Libraries { known: RwLock::default(), version: AtomicU64::new(0) };
        libraries.begin_version();
        libraries
    }
}

impl Libraries {
    fn begin_version(&self) {
        self.version.store(LAST_VERSION.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Release);
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what there is, if that succeeds.
    fn change<T>(&self, change: impl FnOnce(&mut Known) -> Result<T, String>) -> Result<T, String> {
        let mut known = self.write();
        let result = change(&mut known)?;
        self.begin_version();
        Ok(result)
    }

    /// Whether there is a library of a name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.read().libraries.contains_key(name)
    }

    /// Adds one that was loaded; see [`Known::add`].
    pub fn add(&self, library: Library, replace: bool) -> Result<(), String> {
        self.change(|known| known.add(library, replace))
    }

    /// Removes one; `None` if there is none.
    pub fn remove(&self, name: &[u8]) -> Option<Arc<Library>> {
        self.change(|known| known.remove(name).ok_or_else(String::new)).ok()
    }

    /// Adds others, all or none.
    pub fn join(&self, others: Known, how: Join) -> Result<(), String> {
        self.change(|known| match how {
            Join::Flush => {
                *known = others;
                Ok(())
            }
            Join::Append | Join::Replace => known.join(others, how == Join::Replace),
        })
    }

    /// Removes all, and returns them: freeing them may take long.
    pub fn flush(&self) -> Known {
        let mut known = self.write();
        self.begin_version();
        std::mem::take(&mut known)
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Library>> {
        self.read().libraries.values().map(Arc::clone).collect()
    }

    /// What a function says of itself.
    pub fn flags_of(&self, function: &[u8]) -> Option<Flags> {
        self.read().functions.get(&lower(function)).map(|found| found.function().flags)
    }

    /// Whether the library of a number is among them.
    pub fn has_id(&self, id: i32) -> bool {
        self.read().libraries.values().any(|library| library.id == id)
    }

    /// How many there are, and what they take.
    pub fn numbers(&self) -> LibraryNumbers {
        let known = self.read();
        let bytes = known.libraries.values().map(|library| library.bytes()).sum();
        LibraryNumbers { libraries: known.libraries.len(), functions: known.functions.len(), bytes }
    }

    /// What is another one when something has changed.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// The functions that one thread has called lately.
#[derive(Default)]
pub struct Recent {
    functions: HashMap<Box<[u8]>, Found>,
    version: u64,
}

impl Recent {
    /// A function by its name.
    pub fn find(&mut self, libraries: &Libraries, name: &[u8]) -> Option<Found> {
        let version = libraries.version();
        if self.version != version {
            self.functions.clear();
            self.version = version;
        }
        if let Some(found) = self.functions.get(name) {
            return Some(found.clone());
        }
        // What is kept with an older version's number than it is of is forgotten with the next look.
        let found = libraries.read().functions.get(&lower(name))?.clone();
        self.functions.insert(name.into(), found.clone());
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, functions: &[&str]) -> Library {
        let library = Library::of_source(format!("#!lua name={name}\n").as_bytes()).expect("its first line is right");
        let function =
            |name: &&str| Function { name: name.as_bytes().into(), description: None, flags: Flags::default() };
        library.with_functions(functions.iter().map(function).collect())
    }

    fn names(libraries: &Libraries) -> Vec<String> {
        libraries.all().iter().map(|library| String::from_utf8_lossy(&library.name).into_owned()).collect()
    }

    #[test]
    fn names_of_libraries_and_functions_are_there_once() {
        let libraries = Libraries::default();
        libraries.add(library("a", &["f", "g"]), false).expect("nothing is there");
        for (other, replace, expected) in [
            (library("a", &["h"]), false, "Library 'a' already exists"),
            (library("b", &["f"]), false, "Function f already exists"),
            (library("b", &["F"]), true, "Function F already exists"),
            (library("b", &[]), true, "No functions registered"),
        ] {
            assert_eq!(libraries.add(other, replace).expect_err("it is refused"), expected);
        }
        libraries.add(library("a", &["g", "h"]), true).expect("it replaces its like");
        let mut recent = Recent::default();
        assert!(recent.find(&libraries, b"f").is_none() && recent.find(&libraries, b"H").is_some());
        assert_eq!((libraries.numbers().libraries, libraries.numbers().functions), (1, 2));
    }

    #[test]
    fn a_thread_sees_every_change_with_its_next_look() {
        let (libraries, mut recent) = (Libraries::default(), Recent::default());
        assert!(recent.find(&libraries, b"f").is_none());
        libraries.add(library("a", &["f"]), false).expect("nothing is there");
        let first = recent.find(&libraries, b"f").expect("it was added").library.id;
        libraries.add(library("a", &["f"]), true).expect("it replaces its like");
        let second = recent.find(&libraries, b"f").expect("it was replaced").library.id;
        assert!(first != second && !libraries.has_id(first) && libraries.has_id(second));
        assert!(libraries.remove(b"b").is_none() && libraries.remove(b"a").is_some());
        assert!(recent.find(&libraries, b"f").is_none());
    }

    #[test]
    fn libraries_are_joined_all_or_none() {
        let known = |all: &[(&str, &[&str])]| {
            let mut known = Known::default();
            all.iter().for_each(|(name, functions)| known.add(library(name, functions), false).expect("no conflict"));
            known
        };
        let libraries = Libraries::default();
        libraries.join(known(&[("a", &["f"]), ("b", &["g"])]), Join::Append).expect("nothing is there");
        let conflict = libraries.join(known(&[("b", &["h"]), ("c", &["i"])]), Join::Append);
        assert_eq!(conflict.expect_err("b is there"), "Library b already exists");
        let conflict = libraries.join(known(&[("b", &["f"]), ("c", &["i"])]), Join::Replace);
        assert_eq!(conflict.expect_err("f is that of a"), "Function f already exists");
        assert_eq!(names(&libraries), ["a", "b"]);
        libraries.join(known(&[("b", &["h"]), ("c", &["g"])]), Join::Replace).expect("no conflict");
        assert_eq!(names(&libraries), ["a", "b", "c"]);
        libraries.join(known(&[("d", &["f"])]), Join::Flush).expect("all others go");
        assert_eq!(names(&libraries), ["d"]);
        drop(libraries.flush());
        assert_eq!(libraries.numbers(), LibraryNumbers::default());
    }
}
