"""A system that has no thread left: a start says so in one line, a server that runs goes on and ends as ever."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sherd
from sherd.errors import ThreadError
from tests.protocol.test_limits import eventually, info_field
from tests.support.servers import Server, free_port, sherd_command

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.sherd_only,
    pytest.mark.skipif(shutil.which("cc") is None, reason="what refuses threads has to be compiled"),
]

timeout_seconds = 60
# More than a start begins.
threads_max = 40


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What refuses threads, to be preloaded."""
    library = tmp_path_factory.mktemp("refusing") / "refused_threads.so"
    source = Path(__file__).parents[1] / "support" / "refused_threads.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


class Refused:
    """A server that gets no threads while `now` is there."""

    def __init__(self, library: Path, directory: Path, **directives: str) -> None:
        self.now = directory / "none"
        environment = {"LD_PRELOAD": str(library), "REFUSE_THREADS_WHILE": str(self.now)}
        self.server = Server(
            directives={name.replace("_", "-"): value for name, value in directives.items()}, environment=environment
        )
        # Clients are answered before the last of its threads is there.
        eventually(lambda: "ready to accept connections" in self.server.log(), "it has started")
        self.now.touch()

    def allow(self) -> None:
        self.now.unlink()


@pytest.fixture
def refused(refusing: Path, tmp_path: Path) -> Iterator[Any]:
    """Begins servers, which end as if nothing was wrong whatever they were asked for."""
    servers: list[Refused] = []

    def begin(**directives: str) -> Refused:
        servers.append(Refused(refusing, tmp_path, **directives))
        return servers[-1]

    yield begin
    for each in servers:
        process = each.server.process
        assert process is not None
        process.terminate()
        assert process.wait(timeout=timeout_seconds) == 0
        log = each.server.log()
        assert "panicked" not in log
        assert "Traceback" not in log
        each.server.stop()


def test_a_start_says_in_one_line_that_there_is_no_thread(refusing: Path, tmp_path: Path) -> None:
    """Whichever thread it is."""
    for most in range(threads_max):
        told = _refusal(refusing, tmp_path, most)
        if told is None:
            assert most > 5, "shards, IO, freeing, signals: it cannot have fewer"
            return
        assert told.startswith("sherd: the thread sherd-"), told
        assert told.count("\n") == 1, told
    raise AssertionError("it never starts")


def _refusal(refusing: Path, directory: Path, threads: int) -> str | None:
    """What a start says that gets so many threads; None if it works."""
    port = free_port()
    directives = {"port": port, "metrics-port": free_port(), "bind": "127.0.0.1", "shards": 2, "dir": directory}
    line = [*sherd_command(), "serve", "--logfile", str(directory / "log")]
    line += [word for name, value in directives.items() for word in (f"--{name}", str(value))]
    environment = {**os.environ, "LD_PRELOAD": str(refusing), "REFUSE_THREADS_AFTER": str(threads)}
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment)
    eventually(lambda: process.poll() is not None or _answers(port), "it has started or not")
    works = process.poll() is None
    process.terminate()
    _, told = process.communicate(timeout=timeout_seconds)
    assert process.returncode == (0 if works else 1), told
    return None if works else told


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(b"CONFIG GET port\r\n")
            return client.recv(100).startswith(b"*2")
    except OSError:
        return False


def test_snapshots_are_taken_without_a_thread(refused: Any) -> None:
    """By the control plane itself; what was refused is not kept for later."""
    server = refused(save="3600 1").server
    with server.wire() as client:
        client.call("SET", "k", "v")
        client.call("BGSAVE")
        eventually(lambda: info_field(client, "persistence", "rdb_saves") == "1", "it is saved")
        assert client.value("SAVE") == b"OK"
        assert info_field(client, "persistence", "rdb_last_bgsave_status") == "ok"
        assert info_field(client, "persistence", "rdb_saves") == "2"
        client.call("SET", "k", "at the end")


def test_the_append_only_file_begins_when_there_are_threads(refused: Any) -> None:
    """Until then the server says that it has none, and tries again."""
    system = refused()
    server = system.server
    with server.wire() as client:
        client.call("CONFIG", "SET", "appendonly", "yes")
        eventually(lambda: info_field(client, "persistence", "aof_last_bgrewrite_status") == "err", "it cannot begin")
        assert "the thread sherd-sync cannot be started" in server.log()
        client.call("SET", "k", "v")
        system.allow()
        client.call("BGREWRITEAOF")
        eventually(lambda: info_field(client, "persistence", "aof_last_bgrewrite_status") == "ok", "it has begun")
        client.call("SET", "l", "w")
    directory = server.directory / "appendonlydir"
    eventually(lambda: any(b"\r\nl\r\n" in file.read_bytes() for file in directory.iterdir()), "it is appended")


def test_replicas_are_refused_until_there_are_threads(refused: Any) -> None:
    """They are told so, and may try again."""
    system = refused()
    with system.server.wire() as replica:
        reply = replica.call("PSYNC", "?", "-1")
        assert reply.raw.startswith(b"-ERR the thread sherd-")
        assert replica.value("PING") == b"PONG"
        system.allow()
        with Server(directives={"replicaof": f"127.0.0.1 {system.server.port}"}) as follower:
            with system.server.wire() as client:
                client.call("SET", "k", "v")
            with follower.wire() as reader:
                eventually(lambda: reader.call("GET", "k").raw == b"$1\r\nv\r\n", "it follows")
        system.now.touch()


def test_a_server_that_cannot_follow_goes_on_as_it_was(refused: Any) -> None:
    """REPLICAOF is refused as a whole."""
    system = refused()
    with Server() as primary, primary.wire() as writer, system.server.wire() as client:
        writer.call("SET", "k", "v")
        reply = client.call("REPLICAOF", "127.0.0.1", str(primary.port))
        assert reply.raw.startswith(b"-ERR the thread sherd-journal cannot be started"), reply.raw
        assert client.value("SET", "l", "w") == b"OK"
        assert client.value("ROLE")[0] == b"master"
        system.allow()
        assert client.value("REPLICAOF", "127.0.0.1", str(primary.port)) == b"OK"
        system.now.touch()
        # The link waits for a thread and tries again.
        system.allow()
        eventually(lambda: client.call("GET", "k").raw == b"$1\r\nv\r\n", "it follows")


def test_what_is_freed_in_the_background_is_freed_all_the_same(refused: Any) -> None:
    """The thread for scripts that are forgotten is one of its own."""
    with refused().server.wire() as client:
        for number in range(1500):
            client.call("SCRIPT", "LOAD", f"return {number}")
        assert client.value("SCRIPT", "FLUSH", "ASYNC") == b"OK"
        assert client.value("PING") == b"PONG"


def test_a_metrics_page_that_cannot_be_made_is_an_error(refused: Any) -> None:
    """For that scrape; the page's server stays."""
    port = free_port()
    system = refused()
    system.allow()
    with system.server.wire() as client:
        assert client.value("CONFIG", "SET", "metrics-port", str(port)) == b"OK"
    system.now.touch()
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=timeout_seconds)
    system.allow()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=timeout_seconds) as page:
        assert page.status == 200
    system.now.touch()


def test_an_embedded_server_that_gets_no_thread_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves nothing open."""
    import threading

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = len(os.listdir("/proc/self/fd"))
    server = sherd.Server()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(ThreadError, match="the thread sherd-control cannot be started"):
        server.start()
    monkeypatch.undo()
    server.stop()
    del server
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
