//! Redis' glob patterns: `*`, `?`, `[a-z]`, `[^x]`, `\x`.

/// Whether `text` matches `pattern`. Time is bounded by the product of the lengths, whatever the pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, false)
}

/// The same, with ASCII letters of either case alike.
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, true)
}

/// Greedy matching with one point to go back to, the last star: a star never needs to be tried again once a later star
/// was reached, so there is no exponential case.
fn matches_with(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    // Redis finds the empty text in no pattern but the empty one; commands treat a lone star, which finds everything,
    // before they come here.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            retry = Some((p + 1, t));
            p += 1;
            continue;
        }
        if p < pattern.len() {
            let (hit, next) = match_one(pattern, p, text[t], fold);
            if hit {
                p = next;
                t += 1;
                continue;
            }
        }
        match retry {
            Some((after_star, from)) => {
                retry = Some((after_star, from + 1));
                p = after_star;
                t = from + 1;
            }
            None => return false,
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// Matches one byte against the pattern element at `p`; gives whether it matched and where the next element begins.
fn match_one(pattern: &[u8], p: usize, byte: u8, fold: bool) -> (bool, usize) {
    let same = |a: u8, b: u8| a == b || fold && a.eq_ignore_ascii_case(&b);
    match pattern[p] {
        b'?' => (true, p + 1),
        b'[' => match_class(pattern, p + 1, byte, fold),
        b'\\' if p + 1 < pattern.len() => (same(pattern[p + 1], byte), p + 2),
        other => (same(other, byte), p + 1),
    }
}

fn match_class(pattern: &[u8], mut p: usize, byte: u8, fold: bool) -> (bool, usize) {
    let lower = |b: u8| if fold { b.to_ascii_lowercase() } else { b };
    let negated = pattern.get(p) == Some(&b'^');
    if negated {
        p += 1;
    }
    let byte = lower(byte);
    let mut hit = false;
    loop {
        match pattern.get(p) {
            // An unclosed class ends with the pattern, as in Redis.
            None => break,
            Some(b']') => {
                p += 1;
                break;
            }
            Some(b'\\') if p + 1 < pattern.len() => {
                p += 1;
                hit |= lower(pattern[p]) == byte;
                p += 1;
            }
            Some(&first) => {
                if p + 2 < pattern.len() && pattern[p + 1] == b'-' {
                    let (a, b) = (lower(first), lower(pattern[p + 2]));
                    hit |= (a.min(b)..=a.max(b)).contains(&byte);
                    p += 3;
                } else {
                    hit |= lower(first) == byte;
                    p += 1;
                }
            }
        }
    }
    (hit != negated, p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", false),
            ("**", "", false),
            ("a**", "a", true),
            ("h?llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxaxxcxxbxx", false),
            ("abc", "abcd", false),
            ("[abc", "a", true),
            ("a[", "a[", false),
            ("\\", "\\", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
        assert!(matches_ignoring_case(b"MAX*", b"maxmemory"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"a*".repeat(60);
        assert!(!matches(&pattern, &[b'a'; 50_000][..49_999].iter().copied().chain([b'b']).collect::<Vec<_>>()[..30]));
    }
}
