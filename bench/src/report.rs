//! The sum of all workers, printed as one JSON object. Written by hand: a flat object of numbers needs no serialiser.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::options::Options;
use crate::worker::Outcome;

pub struct Summary {
    threads: usize,
    clients: usize,
    pipeline: usize,
    replies: u64,
    errors: u64,
    nulls: u64,
    error_texts: Vec<String>,
    elapsed: Duration,
    cpu_micros: u64,
    latency_nanos: Histogram<u64>,
    send_delay_nanos: Histogram<u64>,
}

impl Summary {
    pub fn new(options: &Options, outcomes: Vec<Outcome>, elapsed: Duration, cpu_micros: u64) -> Summary {
        let mut outcomes = outcomes.into_iter();
        let first = outcomes.next().expect("there is at least one worker");
        let mut summary = Summary {
            threads: options.threads,
            clients: options.clients,
            pipeline: options.pipeline,
            replies: first.replies,
            errors: first.errors,
            nulls: first.nulls,
            error_texts: first.error_texts,
            elapsed,
            cpu_micros,
            latency_nanos: first.latency_nanos,
            send_delay_nanos: first.send_delay_nanos,
        };
        for outcome in outcomes {
            summary.replies += outcome.replies;
            summary.errors += outcome.errors;
            summary.nulls += outcome.nulls;
            for text in outcome.error_texts {
                if !summary.error_texts.contains(&text) {
                    summary.error_texts.push(text);
                }
            }
            // All histograms have the same bounds, so adding cannot fail.
            summary.latency_nanos.add(&outcome.latency_nanos).expect("same bounds");
            summary.send_delay_nanos.add(&outcome.send_delay_nanos).expect("same bounds");
        }
        summary
    }

    pub fn to_json(&self) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let texts: Vec<String> = self.error_texts.iter().map(|text| json_string(text)).collect();
        let fields = [
            format!("\"threads\": {}", self.threads),
            format!("\"clients\": {}", self.clients),
            format!("\"pipeline\": {}", self.pipeline),
            format!("\"requests\": {}", self.replies),
            format!("\"errors\": {}", self.errors),
            format!("\"nulls\": {}", self.nulls),
            format!("\"error_texts\": [{}]", texts.join(", ")),
            format!("\"elapsed_seconds\": {seconds:.6}"),
            format!("\"requests_per_second\": {:.1}", self.replies as f64 / seconds.max(1e-9)),
            format!("\"generator_cpu_us_per_request\": {:.4}", self.cpu_micros as f64 / self.replies.max(1) as f64),
            format!("\"latency_us\": {}", quantiles(&self.latency_nanos)),
            format!("\"send_delay_us\": {}", quantiles(&self.send_delay_nanos)),
        ];
        format!("{{{}}}", fields.join(", "))
    }
}

fn quantiles(nanos: &Histogram<u64>) -> String {
    let at = |quantile: f64| nanos.value_at_quantile(quantile) as f64 / 1e3;
    format!(
        "{{\"mean\": {:.2}, \"min\": {:.2}, \"p50\": {:.2}, \"p90\": {:.2}, \"p99\": {:.2}, \"p99_9\": {:.2}, \
         \"max\": {:.2}}}",
        nanos.mean() / 1e3,
        nanos.min() as f64 / 1e3,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        nanos.max() as f64 / 1e3
    )
}

fn json_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => quoted.push_str(&format!("\\u{:04x}", control as u32)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// User and system time of this process so far.
pub fn process_cpu_micros() -> u64 {
    // SAFETY: an all-zero rusage is a valid value of that plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place to write to.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    micros(usage.ru_utime) + micros(usage.ru_stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_texts_with_quotes_and_control_bytes_stay_valid_json() {
        assert_eq!(json_string("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    }
}
