"""Start and stop of `sherd serve`: what it prints, what it refuses, how signals end it."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sherd.server.arguments import secret_parts
from tests.support.resp import encode_command
from tests.support.servers import Server, Shape, free_port, sherd_command
from tests.support.wire import Wire, connect

pytestmark = pytest.mark.sherd_only

run_timeout_seconds = 30


def run_sherd(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [*sherd_command(), *arguments],
        capture_output=True,
        text=True,
        timeout=run_timeout_seconds,
        env={**os.environ, **environment},
        check=False,
    )


def test_version_prints_name_and_version() -> None:
    """One line, exit code 0."""
    finished = run_sherd("--version")
    assert finished.returncode == 0
    assert finished.stdout.startswith("sherd 0.") or finished.stdout.startswith("sherd 1.")
    assert finished.stdout.count("\n") == 1


def test_the_installed_command_is_the_module() -> None:
    """`sherd --version` and `python -m sherd --version` agree."""
    script = os.path.join(os.path.dirname(sys.executable), "sherd")
    finished = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=30, check=True)
    assert finished.stdout == run_sherd("--version").stdout


def test_the_list_of_processes_shows_no_secrets() -> None:
    """What was given as an argument holds, and everything that is no secret is still to be seen."""
    with (
        Server(directives={"requirepass": "s3cret", "masterauth": "s3cret too", "hz": "17"}) as server,
        server.wire() as client,
    ):
        client.call("AUTH", "s3cret")
        assert client.value("CONFIG", "GET", "masterauth")[1] == b"s3cret too"
        assert server.process is not None
        shown = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().split(b"\0")
        assert not [argument for argument in shown if b"s3cret" in argument]
        assert shown[shown.index(b"--requirepass") + 1] == b"******"
        assert shown[shown.index(b"--hz") + 1] == b"17"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], []),
        (["--port", "1", "--requirepass", "--x", "--hz", "2"], [(3, 0)]),
        (["--requirepass=x", "--masterauth x", "--PORT=1"], [(0, 14), (1, 13)]),
        (["--primaryauth", "x y", "z"], [(1, 0), (2, 0)]),
        (["--user", "joe", "on", ">x", "+@all", "#ab", "--user joe >x"], [(3, 1), (5, 1), (6, 7)]),
        (["--tls-key-file-pass", "\u00fc", "--tls-key-file-pass=\u00fc"], [(1, 0), (2, 20)]),
    ],
)
def test_secrets_are_found_however_they_are_given(arguments: list[str], parts: list[tuple[int, int]]) -> None:
    """With their directive or behind it, and among the rules of a user."""
    assert list(secret_parts(arguments)) == parts


def test_help_names_the_subcommands() -> None:
    """Without being asked for anything special."""
    finished = run_sherd("--help")
    assert finished.returncode == 0
    assert "serve" in finished.stdout
    assert "check-config" in finished.stdout


def test_check_config_accepts_a_good_file_and_starts_nothing(tmp_path: Path) -> None:
    """Comments, quoting, units and several words a directive."""
    file = tmp_path / "redis.conf"
    file.write_text('# a comment\nport 7777\nmaxmemory 100mb\nsave ""\nrequirepass "a b\\x41"\nbind 127.0.0.1 ::1\n')
    finished = run_sherd("check-config", str(file))
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    "lines",
    [
        "nosuchdirective yes",
        "port abc",
        "port 70000",
        "maxmemory 5parsecs",
        "maxmemory-policy nosuch",
        "appendonly perhaps",
        'requirepass "unbalanced',
    ],
)
def test_a_bad_directive_is_one_clear_line_and_exit_code_1(tmp_path: Path, lines: str) -> None:
    """For check-config and serve alike; the line names the directive."""
    file = tmp_path / "redis.conf"
    file.write_text(lines + "\n")
    for action in ("check-config", "serve"):
        finished = run_sherd(action, str(file))
        assert finished.returncode == 1
        message = finished.stderr.strip()
        assert message.count("\n") == 0, message
        assert "Traceback" not in message
        assert lines.split()[0] in message


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nosuch", "1"],
        ["--port", "abc"],
        ["--shards", "-1"],
        ["--io-threads", "-1"],
        ["--maxclients"],
        ["/nonexistent.conf"],
    ],
)
def test_a_bad_command_line_is_one_clear_line_and_exit_code_1(arguments: list[str]) -> None:
    """The same for directives given as arguments."""
    finished = run_sherd("serve", *arguments)
    assert finished.returncode == 1
    message = finished.stderr.strip()
    assert message
    assert message.count("\n") == 0, message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "directive",
    [["--oom-score-adj", "yes"], ["--mptcp", "yes"]],
    ids=lambda words: words[0],
)
def test_a_capability_that_is_not_there_is_refused_where_it_is_switched_on(directive: list[str]) -> None:
    """With one clear line that names the directive; switched off it is accepted."""
    finished = run_sherd("check-config", *directive)
    assert finished.returncode == 1
    assert directive[0].removeprefix("--") in finished.stderr
    assert finished.stderr.strip().count("\n") == 0


def test_capabilities_switched_off_are_accepted() -> None:
    """As redis.conf files in the wild have them."""
    finished = run_sherd("check-config", "--appendonly", "no", "--save", "", "--tls-port", "0", "--daemonize", "no")
    assert finished.returncode == 0, finished.stderr


def test_an_included_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """One clear line and exit code 1."""
    file = tmp_path / "redis.conf"
    file.write_text("include /nonexistent/file.conf\n")
    finished = run_sherd("check-config", str(file))
    assert finished.returncode == 1
    assert "include /nonexistent/file.conf" in finished.stderr
    assert finished.stderr.strip().count("\n") == 0


def test_a_port_in_use_is_one_clear_line_and_exit_code_1() -> None:
    """It names the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = run_sherd("serve", "--port", str(port), "--bind", "127.0.0.1", "--metrics-port", "0", "--save", "")
    assert finished.returncode == 1
    assert str(port) in finished.stderr
    assert "Traceback" not in finished.stderr + finished.stdout


def test_the_start_tells_what_matters() -> None:
    """Version, pid, port, shards and IO threads are in the first lines."""
    with Server(shape=Shape(shards=3, io_threads=2)) as server:
        text = server.log()
        for word in (str(server.pid), str(server.port)):
            assert word in text
        assert "shards" in text
        assert text.count("\n") <= 12


def test_the_log_can_be_json() -> None:
    """--log-format json: each line is an object with an event, a level and a time."""
    with Server(directives={"log-format": "json"}) as server:
        entries = [json.loads(line) for line in server.log().splitlines() if line.strip()]
        assert entries
        for entry in entries:
            assert {"event", "level"} <= set(entry)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_with_exit_code_0(number: signal.Signals, shape: Shape) -> None:
    """Also with clients connected and idle."""
    with Server(shape=shape) as server, server.wire() as idle:
        idle.call("PING")
        assert server.signal_and_wait(number) == 0
        assert idle.read_until_closed() == b""


def test_a_stop_cuts_nothing_in_half(shape: Shape) -> None:
    """Under load, every reply that arrives is whole: the connection ends between two replies."""
    with Server(shape=shape) as server:
        stopping = threading.Event()
        remainders: list[bytes] = []

        def load() -> None:
            with server.wire() as wire:
                request = encode_command("SET", "k", b"x" * 1000) + encode_command("GET", "k")
                with contextlib.suppress(ConnectionError):
                    for _ in range(100_000):
                        wire.send(request * 20)
                        if stopping.is_set():
                            break
                        for _ in range(40):
                            wire.read()
                received = wire.read_until_closed()
                reply = b"+OK\r\n$1000\r\n" + b"x" * 1000 + b"\r\n"
                while received.startswith(reply):
                    received = received[len(reply) :]
                remainders.append(received)

        workers = [threading.Thread(target=load, daemon=True) for _ in range(3)]
        for worker in workers:
            worker.start()
        with server.wire() as wire:
            for _ in range(20):
                wire.call("PING")
        stopping.set()
        assert server.signal_and_wait(signal.SIGTERM) == 0
        for worker in workers:
            worker.join(20)
        # A whole +OK may stand alone at the end; half of a reply may not.
        assert all(remainder in (b"", b"+OK\r\n") for remainder in remainders), remainders


def test_shutdown_stops_the_server() -> None:
    """SHUTDOWN NOSAVE from a client: no reply, a closed connection, exit code 0."""
    with Server() as server, server.wire() as wire:
        wire.write("SHUTDOWN", "NOSAVE")
        assert wire.read_until_closed() == b""
        assert server.process is not None
        assert server.process.wait(15) == 0


def test_the_port_is_free_again_after_a_stop() -> None:
    """A restart on the same port works at once, with connections in TIME_WAIT."""
    port = str(free_port())
    for _ in range(3):
        with Server(directives={"port": port}) as server, server.wire() as wire:
            assert wire.call("PING").raw == b"+PONG\r\n"


def test_directives_come_from_file_environment_and_command_line(tmp_path: Path) -> None:
    """The later wins: file, environment, command line."""
    file = tmp_path / "redis.conf"
    file.write_text("maxclients 100\ntimeout 100\nslowlog-max-len 100\n")
    port = str(free_port())
    process = subprocess.Popen(
        [
            *sherd_command(),
            "serve",
            str(file),
            "--port",
            port,
            "--bind",
            "127.0.0.1",
            "--metrics-port",
            "0",
            "--save",
            "",
            "--slowlog-max-len",
            "300",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "SHERD_TIMEOUT": "200", "SHERD_SLOWLOG_MAX_LEN": "200"},
    )
    try:
        with _wire_when_ready(int(port)) as wire:
            assert wire.value("CONFIG", "GET", "maxclients")[1] == b"100"
            assert wire.value("CONFIG", "GET", "timeout")[1] == b"200"
            assert wire.value("CONFIG", "GET", "slowlog-max-len")[1] == b"300"
    finally:
        process.terminate()
        process.wait(15)


def _wire_when_ready(port: int) -> Wire:
    import time

    deadline = time.monotonic() + 20
    while True:
        try:
            connect(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return Wire(("127.0.0.1", port))


def test_protected_mode_refuses_strangers_only() -> None:
    """Without a password, on all addresses: loopback is served, another address of this machine is not."""
    address = _other_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    with Server(directives={"bind": "*", "protected-mode": "yes"}) as server:
        with server.wire() as wire:
            assert wire.call("PING").raw == b"+PONG\r\n"
        with Wire((address, server.port)) as stranger:
            assert stranger.read_until_closed().startswith(b"-DENIED ")
        with server.wire() as wire:
            assert wire.call("CONFIG", "SET", "protected-mode", "no").raw == b"+OK\r\n"
        with Wire((address, server.port)) as stranger:
            assert stranger.call("PING").raw == b"+PONG\r\n"


def _other_address() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: the kernel chooses the address from which it would.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


def test_config_rewrite_keeps_comments_and_writes_what_changed(tmp_path: Path) -> None:
    """And never the secret that came from the environment."""
    file = tmp_path / "redis.conf"
    file.write_text("# keep me\ntimeout 0\n\n# and me\nmaxclients 500\n")
    port = str(free_port())
    process = subprocess.Popen(
        [
            *sherd_command(),
            "serve",
            str(file),
            "--port",
            port,
            "--bind",
            "127.0.0.1",
            "--metrics-port",
            "0",
            "--save",
            "",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "SHERD_REQUIREPASS": "from-the-environment"},
    )
    try:
        with _wire_when_ready(int(port)) as wire:
            assert wire.call("AUTH", "from-the-environment").raw == b"+OK\r\n"
            assert wire.call("CONFIG", "SET", "timeout", "77").raw == b"+OK\r\n"
            assert wire.call("CONFIG", "REWRITE").raw == b"+OK\r\n"
    finally:
        process.terminate()
        process.wait(15)
    text = file.read_text()
    assert "# keep me" in text
    assert "# and me" in text
    assert "timeout 77" in text
    assert "maxclients 500" in text
    assert "from-the-environment" not in text


def _begins_to_sleep(server: Server, wire: Wire) -> None:
    """Has a shard execute something that takes two minutes."""
    wire.send(encode_command("DEBUG", "SLEEP", "120"))
    # Whatever needs the shard is not answered any more, other things are.
    with server.wire(timeout_seconds=0.2) as probe:
        _call_until_silent(probe, "SET", "k", "v")


def _call_until_silent(wire: Wire, *command: str) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            wire.call(*command)
        except TimeoutError:
            return
    raise AssertionError(f"{command} is answered all the time")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_while_a_command_is_executed(number: signal.Signals, shape: Shape) -> None:
    """The log says in which shards; the command, of two minutes, would outlast the patience of this test."""
    with Server(shape=shape, directives={"enable-debug-command": "yes"}) as server, server.wire() as wire:
        _begins_to_sleep(server, wire)
        assert server.signal_and_wait(number) == 0
        assert "ends before its commands do" in server.log()
        assert wire.read_until_closed() == b""


def _spread(server: Server, stack: contextlib.ExitStack, count: int) -> list[Wire]:
    """Clients on both IO threads: each is served before the next one comes."""
    wires = []
    for _ in range(count):
        wires.append(stack.enter_context(server.wire(timeout_seconds=2)))
        wires[-1].call("PING")
    return wires


def _answering(wires: list[Wire]) -> Wire:
    """One whose IO thread is not the one that executes the long command."""
    for wire in wires:
        with contextlib.suppress(TimeoutError):
            wire.call("PING")
            return wire
    raise AssertionError("no IO thread answers")


def test_a_signal_ends_the_process_while_a_transaction_of_both_planes_waits_for_a_shard() -> None:
    """It waits beside the control plane, which goes on, and handles the signal."""
    with Server(shape=Shape(), directives={"enable-debug-command": "yes"}) as server, contextlib.ExitStack() as stack:
        wires = _spread(server, stack, 5)
        _begins_to_sleep(server, wires.pop())
        mixed = _answering(wires)
        for command in (("MULTI",), ("CONFIG", "GET", "port"), ("SET", "k", "v")):
            mixed.call(*command)
        wires.remove(mixed)
        mixed.send(encode_command("EXEC"))
        other = _answering(wires)
        for _ in range(3):
            assert other.value("CONFIG", "GET", "databases") == [b"databases", b"16"]
        assert server.signal_and_wait(signal.SIGTERM) == 0
        assert "ends before its commands do" in server.log()


def test_shutdown_ends_the_process_while_a_command_is_executed() -> None:
    """SHUTDOWN by another client is as good as a signal."""
    with Server(shape=Shape(), directives={"enable-debug-command": "yes"}) as server, contextlib.ExitStack() as stack:
        wires = _spread(server, stack, 4)
        _begins_to_sleep(server, wires.pop())
        _answering(wires).send(encode_command("SHUTDOWN", "NOSAVE"))
        assert server.process is not None
        assert server.process.wait(15) == 0


def test_a_signal_ends_the_process_with_clients_that_do_not_read(shape: Shape) -> None:
    """Megabytes of replies wait for each of them."""
    with Server(shape=shape) as server, server.wire() as wire:
        wire.call("SET", "k", b"x" * 1_000_000)
        lazy = [server.wire() for _ in range(10)]
        for each in lazy:
            each.send(encode_command("GET", "k") * 20)
        wire.call("PING")
        assert server.signal_and_wait(signal.SIGTERM) == 0
        for each in lazy:
            each.close()


def test_a_signal_ends_the_process_with_ten_thousand_clients() -> None:
    """As many as the limit of open files leaves this test; each sees its connection closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_000 if hard == resource.RLIM_INFINITY else min(10_000, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 400), hard))
    try:
        with Server(shape=Shape(), directives={"maxclients": "10100", "tcp-backlog": "4096"}) as server:
            clients = [socket.create_connection(server.address, timeout=60) for _ in range(wanted)]
            for client in clients[:: wanted // 10]:
                client.sendall(encode_command("PING"))
                assert client.recv(100) == b"+PONG\r\n"
            assert server.signal_and_wait(signal.SIGTERM) == 0
            assert all(client.recv(100) == b"" for client in clients[:: wanted // 10])
            for client in clients:
                client.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_signal_that_comes_early_ends_the_process() -> None:
    """Before the first client could connect: at some moment of the start, or just after it."""
    for delay_seconds in (0.1, 0.2, 0.3):
        with Server(shape=Shape(), await_ping=False) as server:
            time.sleep(delay_seconds)
            # Before it takes signals, the system's way of ending a process.
            assert server.signal_and_wait(signal.SIGTERM) in (0, -signal.SIGTERM)
            assert "Traceback" not in server.log()


def _wire_when_there(port: int, process: subprocess.Popen[bytes]) -> Wire:
    deadline = time.monotonic() + run_timeout_seconds
    while True:
        try:
            return Wire(("127.0.0.1", port))
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() >= deadline:
                raise
        time.sleep(0.02)


@pytest.mark.parametrize("output", ["a full disk", "a pipe that nobody reads", "none"])
def test_a_server_outlives_its_log(output: str) -> None:
    """Commands that log are executed, the server stays healthy, and its end is its own."""
    port, metrics_port = free_port(), free_port()
    command = [
        *sherd_command(),
        "serve",
        "--port",
        str(port),
        "--metrics-port",
        str(metrics_port),
        "--loglevel",
        "debug",
    ]
    if output == "a full disk":
        command += ["--logfile", "/dev/full"]
    elif output == "none":
        command = ["bash", "-c", 'exec "$@" >&-', "bash", *command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    if output == "a pipe that nobody reads":
        process.stdout.readline()
    process.stdout.close()
    try:
        with _wire_when_there(port, process) as wire:
            for words in (("SET", "k", "v"), ("CONFIG", "SET", "loglevel", "verbose"), ("REPLICAOF", "NO", "ONE")):
                assert wire.call(*words).raw == b"+OK\r\n"
            assert wire.value("GET", "k") == b"v"
        assert process.poll() is None
    finally:
        process.terminate()
        code = process.wait(run_timeout_seconds)
    assert code == 0


def test_a_server_does_not_wait_for_who_reads_its_log() -> None:
    """It loses lines, says so when they are read again, and ends in time."""
    port, numbers = free_port(), itertools.count()
    command = [*sherd_command(), "serve", "--port", str(port), "--metrics-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    # A page is the smallest that a pipe may be.
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    try:
        with _wire_when_there(port, process) as wire:

            def log_a_line() -> None:
                assert wire.call("CONFIG", "SET", "timeout", str(next(numbers))).raw == b"+OK\r\n"

            for _ in range(200):
                log_a_line()
            seen = b""
            while b"log lines were lost" not in seen:
                if not select.select([process.stdout], [], [], 0.2)[0]:
                    log_a_line()
                seen += os.read(process.stdout.fileno(), 65536)
            for _ in range(200):
                log_a_line()
    finally:
        process.terminate()
        code = process.wait(run_timeout_seconds)
        process.stdout.close()
    assert code == 0
