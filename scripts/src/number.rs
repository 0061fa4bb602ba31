//! Numbers as text, as C writes and reads them.

use std::ffi::{c_char, c_int};

/// Room for what [`format_general`] writes.
const TEXT_MAX: usize = 64;

/// Appends a number as C's `%.<precision>g` writes it.
pub fn format_general(out: &mut Vec<u8>, number: f64, precision: c_int) {
    let mut text = [0 as c_char; TEXT_MAX];
    // SAFETY: the buffer's size is given, and with the precisions that are used here all text fits.
    let length = unsafe { libc::snprintf(text.as_mut_ptr(), TEXT_MAX, c"%.*g".as_ptr(), precision, number) };
    out.extend(text[..(length.max(0) as usize).min(TEXT_MAX - 1)].iter().map(|&byte| byte as u8));
}

/// The number that a text begins with, and how many bytes it takes.
///
/// # Safety
/// A zero byte has to follow the text, as it does in Lua's strings.
pub unsafe fn parse(text: &[u8]) -> (f64, usize) {
    let mut end = std::ptr::null_mut();
    let number = libc::strtod(text.as_ptr() as *const c_char, &mut end);
    (number, (end as usize).saturating_sub(text.as_ptr() as usize).min(text.len()))
}

/// A number of Lua as C's cast to `long long` makes an integer of it.
pub fn truncate(number: f64) -> i64 {
    // What is out of range has no defined result in C; on x86-64 it is this one.
    if number.is_nan() || !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
        i64::MIN
    } else {
        number as i64
    }
}
