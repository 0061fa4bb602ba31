//! A pipeline of commands as bytes that are built once; before every send only the digits of the numbers change.
//!
//! Building from scratch for every send was the alternative: at a pipeline of 64 it costs several times the patching.
//! A large set of ready-made batches was the other one: to cover 100 000 keys evenly it needs tens of megabytes, which
//! push the server's data out of the shared cache.

use crate::command::{Hole, Template};
use crate::options::Options;

/// With a mix of commands, this many different orders are prepared and taken in turn.
const MIXED_BATCHES: usize = 32;

/// Where the numbers in keys come from.
#[derive(Clone, Debug)]
pub enum Numbers {
    Random {
        state: u64,
        below: u64,
    },
    /// `next` is what the next command gets.
    Sequential {
        next: u64,
        below: u64,
    },
}

impl Numbers {
    /// The number for a hole. A command's holes get numbers of their own, or in sequential order the same one: then
    /// `SADD set:0 member:0` has both parts unique over the whole run.
    fn next(&mut self, is_first: bool) -> u64 {
        match self {
            Numbers::Random { state, below } => {
                // xorshift64*: three shifts and a multiplication; quality far beyond what picking keys needs.
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                let high = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
                // `below` is at most 2^32, so the product fits.
                (high * *below) >> 32
            }
            Numbers::Sequential { next, below } => {
                *next += u64::from(is_first);
                (*next - 1) % *below
            }
        }
    }
}

struct Batch {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
}

/// The batches of one worker.
pub struct Batches {
    batches: Vec<Batch>,
    turn: usize,
    numbers: Numbers,
}

impl Batches {
    /// `first_request` is the number of requests that other workers send before this one's share, for `--sequential`.
    pub fn new(options: &Options, worker: usize, first_request: u64) -> Batches {
        // An odd multiplier spreads neighbouring seeds; xorshift must not start at zero.
        let seed = options.seed.wrapping_add(worker as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let numbers = if options.sequential {
            Numbers::Sequential { next: first_request, below: options.keys }
        } else {
            Numbers::Random { state: seed, below: options.keys }
        };
        let count = if options.commands.len() == 1 { 1 } else { MIXED_BATCHES };
        let weight_total: u64 = options.commands.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut chooser = Numbers::Random { state: seed, below: weight_total };
        let batches = (0..count)
            .map(|_| {
                let mut batch = Batch { bytes: Vec::new(), holes: Vec::new() };
                for _ in 0..options.pipeline {
                    let template = choose(&options.commands, chooser.next(true));
                    template.encode(options.value_size_bytes, &mut batch.bytes, &mut batch.holes);
                }
                batch
            })
            .collect();
        Batches { batches, turn: 0, numbers }
    }

    /// The next batch to send, with fresh numbers in it.
    pub fn next(&mut self) -> &[u8] {
        self.turn += 1;
        if self.turn >= self.batches.len() {
            self.turn = 0;
        }
        let batch = &mut self.batches[self.turn];
        for hole in &batch.holes {
            write_digits(&mut batch.bytes[hole.offset..hole.offset + hole.width], self.numbers.next(hole.is_first));
        }
        &batch.bytes
    }
}

fn choose(commands: &[(Template, u32)], ticket: u64) -> &Template {
    let mut passed = 0;
    for (template, weight) in commands {
        passed += u64::from(*weight);
        if ticket < passed {
            return template;
        }
    }
    unreachable!("a ticket is below the sum of the weights")
}

/// Right-aligned, padded with zeros; digits that do not fit are cut off on the left.
fn write_digits(field: &mut [u8], number: u64) {
    let mut rest = number;
    for digit in field.iter_mut().rev() {
        // A field once past the number stays zero, but an earlier and longer number may have left digits there.
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{parse, Parsed};
    use std::collections::HashSet;

    fn batches(line: &[&str], first_request: u64) -> Batches {
        match parse(line.iter().map(|word| word.to_string())).expect("valid") {
            Parsed::Run(options) => Batches::new(&options, 0, first_request),
            Parsed::Help => panic!("not a run"),
        }
    }

    fn numbers_in(bytes: &[u8]) -> Vec<u64> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.split("k:").skip(1).map(|tail| tail[..4].parse().expect("digits")).collect()
    }

    #[test]
    fn sequential_numbers_cover_every_key_once() {
        let line = ["--sequential", "--keys", "9999", "--pipeline", "3", "--command", "GET k:__int:4__"];
        let mut batches = batches(&line, 100);
        assert_eq!(numbers_in(batches.next()), [100, 101, 102]);
        assert_eq!(numbers_in(batches.next()), [103, 104, 105]);
    }

    #[test]
    fn the_holes_of_one_command_share_their_sequential_number() {
        let line = ["--sequential", "--pipeline", "2", "--command", "MSET k:__int:4__ v k:__int:4__ v"];
        let mut batches = batches(&line, 7);
        assert_eq!(numbers_in(batches.next()), [7, 7, 8, 8]);
    }

    #[test]
    fn random_numbers_stay_below_the_key_count_and_reach_all_of_it() {
        let line = ["--keys", "10", "--pipeline", "50", "--command", "GET k:__int:4__"];
        let mut batches = batches(&line, 0);
        let seen: HashSet<u64> = (0..20).flat_map(|_| numbers_in(batches.next())).collect();
        assert_eq!(seen.len(), 10);
        assert!(seen.iter().all(|number| *number < 10));
    }

    #[test]
    fn a_shorter_number_leaves_no_digit_of_a_longer_one() {
        let mut field = *b"0000";
        write_digits(&mut field, 9876);
        write_digits(&mut field, 5);
        assert_eq!(&field, b"0005");
    }

    #[test]
    fn a_mix_follows_its_weights() {
        let line = ["--pipeline", "100", "--command", "GET k:__int:4__@9", "--command", "SET k:__int:4__ v@1"];
        let mut batches = batches(&line, 0);
        let sets: usize =
            (0..MIXED_BATCHES).map(|_| String::from_utf8_lossy(batches.next()).matches("$3\r\nSET").count()).sum();
        assert!((200..460).contains(&sets), "320 of 3200 expected, got {sets}");
    }
}
