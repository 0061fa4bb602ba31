//! Requests as bytes from a socket: whatever comes, offsets stay inside of the buffer, and a request that arrives byte
//! by byte is the same request, or the same error, as one that arrives at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sherd_ioth::parser::{split_inline, Limits, Parsed, Parser, ProtocolError};

/// Longer than any fuzz input, so that a whole buffer and a growing one meet the same limits.
const LIMITS: Limits = Limits { bulk_bytes_max: 1 << 20, authenticated: true };

type Requests = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// All requests of `data`, which becomes visible in steps of `step` bytes.
fn requests(data: &[u8], step: usize, limits: Limits) -> Requests {
    let mut found = Vec::new();
    let mut parser = Parser::default();
    let (mut start, mut end) = (0, step.min(data.len()));
    loop {
        let buffer = &data[start..end];
        let taken = match parser.next(buffer, limits) {
            Err(error) => return (found, Some(error)),
            Ok(Parsed::Nothing(length)) => length,
            Ok(Parsed::Command(length)) => {
                assert!(length <= buffer.len());
                found.push(parser.args().iter().map(|&(from, to)| buffer[from..to].to_vec()).collect());
                length
            }
            Ok(Parsed::Inline(length)) => {
                match split_inline(&buffer[..length]) {
                    Ok(words) => found.push(words),
                    Err(error) => return (found, Some(error)),
                }
                length
            }
            Ok(Parsed::Incomplete(missing)) => {
                assert!(missing > 0);
                if end == data.len() {
                    return (found, None);
                }
                end = (end + step).min(data.len());
                continue;
            }
        };
        assert!(taken > 0, "a request of no bytes would be found for ever");
        start += taken;
    }
}

fuzz_target!(|data: &[u8]| {
    let whole = requests(data, data.len().max(1), LIMITS);
    assert_eq!(whole, requests(data, 1, LIMITS));
    assert_eq!(whole, requests(data, 7, LIMITS));
    requests(data, data.len().max(1), Limits { authenticated: false, ..LIMITS });
});
