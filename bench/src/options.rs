//! The command line. Parsed by hand: a dozen `--name value` pairs do not earn an argument library and its build time.

use std::time::Duration;

use crate::command::{parse_weighted, Template};

pub const HELP: &str = "\
usage: sherd-load [options]
  --host HOST          server address (127.0.0.1)
  --port PORT          server port (6379)
  --tls-ca FILE        encrypt, and trust the authorities of this PEM file
  --threads N          generator threads, each with its own epoll (1)
  --clients N          connections over all threads (50)
  --pipeline N         commands a batch (1)
  --requests N         stop after this many (100000 unless --duration is given)
  --duration SECONDS   stop after this time; SIGTERM and SIGINT also stop and still report
  --rate N             open loop: this many requests a second, latency from the time each was due
  --keys N             random numbers are below this (100000)
  --value-size BYTES   length of __data__ (64)
  --sequential         number the requests 0, 1, 2, ... instead of drawing random numbers
  --seed N             start of the random numbers (1)
  --command TEXT[@W]   a name: get set incr lpush rpop sadd hset zadd spop lrange_100 mset ping,
                       or a template with __rand_int__ __key__ __int:WIDTH__ __data__; may be repeated,
                       @W is its weight in the mix (get)
  --setup TEXT         a command that each connection sends once before the run; may be repeated
  --time-slice US      ask the kernel for slices of so many microseconds, and so to run soon after waking: for a
                       probe that is to measure the server, not how long it waits for a core itself
  --timeout SECONDS    give up when no reply comes for this long (60)";

/// What a run does. Every bound on it is checked by [`parse`].
#[derive(Clone, Debug)]
pub struct Options {
    pub host: String,
    pub port: u16,
    /// A file with the authorities that connections trust; not encrypted when absent.
    pub tls_authorities: Option<String>,
    pub threads: usize,
    pub clients: usize,
    pub pipeline: usize,
    /// No end by count when absent.
    pub requests: Option<u64>,
    pub duration: Option<Duration>,
    /// Requests a second over all threads; closed loop when absent.
    pub rate: Option<f64>,
    pub keys: u64,
    pub value_size_bytes: usize,
    pub sequential: bool,
    pub seed: u64,
    pub commands: Vec<(Template, u32)>,
    /// What each connection sends before the run, encoded, command by command.
    pub setup: Vec<Vec<u8>>,
    pub time_slice: Option<Duration>,
    pub timeout: Duration,
}

pub enum Parsed {
    Run(Box<Options>),
    Help,
}

pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Parsed, String> {
    let mut options = Options {
        host: "127.0.0.1".to_string(),
        port: 6379,
        tls_authorities: None,
        threads: 1,
        clients: 50,
        pipeline: 1,
        requests: None,
        duration: None,
        rate: None,
        keys: 100_000,
        value_size_bytes: 64,
        sequential: false,
        seed: 1,
        commands: Vec::new(),
        setup: Vec::new(),
        time_slice: None,
        timeout: Duration::from_secs(60),
    };
    let mut command_texts = Vec::new();
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--help" | "-h" => return Ok(Parsed::Help),
            "--sequential" => {
                options.sequential = true;
                continue;
            }
            _ => {}
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value (or is unknown; see --help)"))?;
        match name.as_str() {
            "--host" => options.host = value,
            "--port" => options.port = number(&name, &value, 1, 65_535)? as u16,
            "--tls-ca" => options.tls_authorities = Some(value),
            "--threads" => options.threads = number(&name, &value, 1, 64)? as usize,
            "--clients" => options.clients = number(&name, &value, 1, 60_000)? as usize,
            "--pipeline" => options.pipeline = number(&name, &value, 1, 10_000)? as usize,
            "--requests" => options.requests = Some(number(&name, &value, 1, u64::MAX / 2)?),
            "--duration" => options.duration = Some(seconds(&name, &value)?),
            "--rate" => options.rate = Some(number(&name, &value, 1, 100_000_000)? as f64),
            "--keys" => options.keys = number(&name, &value, 1, 1 << 32)?,
            "--value-size" => options.value_size_bytes = number(&name, &value, 0, 64 << 20)? as usize,
            "--seed" => options.seed = number(&name, &value, 0, u64::MAX)?,
            "--command" => command_texts.push(value),
            "--setup" => {
                let mut encoded = Vec::new();
                Template::parse(&value)?.encode(0, &mut encoded, &mut Vec::new());
                options.setup.push(encoded);
            }
            "--time-slice" => {
                options.time_slice = Some(Duration::from_micros(number(&name, &value, 100, 100_000)?));
            }
            "--timeout" => options.timeout = seconds(&name, &value)?,
            _ => return Err(format!("unknown option {name}; see --help")),
        }
    }
    if options.requests.is_none() && options.duration.is_none() {
        options.requests = Some(100_000);
    }
    if options.clients < options.threads {
        return Err("--clients must be at least --threads".to_string());
    }
    if command_texts.is_empty() {
        command_texts.push("get".to_string());
    }
    for text in &command_texts {
        options.commands.push(parse_weighted(text)?);
    }
    Ok(Parsed::Run(Box::new(options)))
}

fn number(name: &str, value: &str, least: u64, most: u64) -> Result<u64, String> {
    match value.parse::<u64>() {
        Ok(parsed) if (least..=most).contains(&parsed) => Ok(parsed),
        _ => Err(format!("{name} takes a whole number from {least} to {most}, not {value:?}")),
    }
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    match value.parse::<f64>() {
        Ok(parsed) if parsed > 0.0 && parsed <= 1e7 => Ok(Duration::from_secs_f64(parsed)),
        _ => Err(format!("{name} takes seconds above 0, not {value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace().map(str::to_string))? {
            Parsed::Run(options) => Ok(*options),
            Parsed::Help => Err("help".to_string()),
        }
    }

    #[test]
    fn without_options_it_gets_a_hundred_thousand_keys_over_fifty_connections() {
        let options = parse_line("").expect("defaults are valid");
        assert_eq!((options.clients, options.requests, options.pipeline), (50, Some(100_000), 1));
        assert_eq!(options.commands.len(), 1);
    }

    #[test]
    fn a_duration_alone_sets_no_request_count() {
        let options = parse_line("--duration 1.5").expect("valid");
        assert_eq!(options.requests, None);
        assert_eq!(options.duration, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn values_out_of_range_and_unknown_names_are_refused() {
        for line in
            ["--port 0", "--port 70000", "--threads none", "--what 1", "--keys", "--rate -1", "--clients 1 --threads 2"]
        {
            assert!(parse_line(line).is_err(), "{line} was accepted");
        }
    }
}
