//! The binary against a server of a few lines: what it sends is RESP, what it reports is what was answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// Answers every command with `reply` and counts the commands; returns its port.
fn serve(reply: &'static [u8], received: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let received = Arc::clone(&received);
            std::thread::spawn(move || answer(stream, reply, &received));
        }
    });
    port
}

fn answer(stream: TcpStream, reply: &[u8], received: &AtomicU64) {
    let mut output = stream.try_clone().expect("a second handle");
    let mut input = BufReader::new(stream);
    let mut line = String::new();
    while input.read_line(&mut line).is_ok_and(|length| length > 0) {
        let arguments: usize = line.trim_end().strip_prefix('*').expect("an array").parse().expect("a count");
        for _ in 0..arguments {
            line.clear();
            input.read_line(&mut line).expect("a header");
            let length: usize = line.trim_end().strip_prefix('$').expect("a bulk").parse().expect("a length");
            let mut value = vec![0; length + 2];
            input.read_exact(&mut value).expect("a value");
            assert!(value.ends_with(b"\r\n"), "a length prefix does not match its value");
        }
        line.clear();
        received.fetch_add(1, Ordering::SeqCst);
        if output.write_all(reply).is_err() {
            return;
        }
    }
}

fn load(port: u16, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sherd-load"))
        .args(["--port", &port.to_string()])
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_request_is_sent_and_counted_once_over_threads_clients_and_pipelines() {
    for (threads, clients, pipeline) in [("1", "1", "1"), ("2", "5", "4"), ("2", "3", "50")] {
        let received = Arc::new(AtomicU64::new(0));
        let port = serve(b"$3\r\nabc\r\n", Arc::clone(&received));
        let arguments = [
            "--threads",
            threads,
            "--clients",
            clients,
            "--pipeline",
            pipeline,
            "--requests",
            "600",
            "--command",
            "mset",
        ];
        let output = load(port, &arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(received.load(Ordering::SeqCst), 600);
        assert!(text(&output.stdout).contains("\"requests\": 600, \"errors\": 0"), "{}", text(&output.stdout));
    }
}

#[test]
fn error_replies_are_counted_and_quoted() {
    let port = serve(b"-ERR no \"such\" thing\r\n", Arc::default());
    let output = load(port, &["--requests", "7", "--clients", "1"]);
    let report = text(&output.stdout);
    assert!(report.contains("\"errors\": 7"), "{report}");
    assert!(report.contains("[\"ERR no \\\"such\\\" thing\"]"), "{report}");
}

#[test]
fn an_open_loop_sends_what_its_rate_and_duration_say() {
    let received = Arc::new(AtomicU64::new(0));
    let port = serve(b"+OK\r\n", Arc::clone(&received));
    let output = load(port, &["--rate", "1000", "--duration", "0.5", "--clients", "4"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    // Due times decide, not the machine's speed: 500 fall before the deadline, late or not.
    assert_eq!(received.load(Ordering::SeqCst), 500);
}

#[test]
fn a_server_that_does_not_speak_resp_fails_the_run() {
    let port = serve(b"HTTP/1.1 400 Bad Request\r\n", Arc::default());
    let output = load(port, &["--requests", "10"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("not a reply type"), "{}", text(&output.stderr));
}

#[test]
fn what_is_sent_before_the_run_is_sent_once_a_connection_and_counts_for_nothing() {
    let received = Arc::new(AtomicU64::new(0));
    let port = serve(b"+OK\r\n", Arc::clone(&received));
    let setup = ["--setup", "AUTH name word", "--setup", "CLIENT TRACKING ON"];
    let output = load(port, &[&["--clients", "3", "--requests", "30"], &setup[..]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("\"requests\": 30,"), "{}", text(&output.stdout));
    assert_eq!(received.load(Ordering::SeqCst), 30 + 3 * 2);
}

#[test]
fn an_error_before_the_run_ends_it_in_the_servers_words() {
    let port = serve(b"-WRONGPASS no\r\n", Arc::default());
    let output = load(port, &["--setup", "AUTH name word"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("WRONGPASS no"), "{}", text(&output.stderr));
}
