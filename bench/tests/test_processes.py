"""What is read from the kernel and from a server, against processes and sockets made here."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from sherd_bench import procfs
from sherd_bench.resp import Client, ProtocolError, ServerError

BURN = """
import threading, time
def burn():
    while time.thread_time() < 0.2:
        pass
thread = threading.Thread(target=burn)
thread.start()
thread.join()
print(time.process_time(), flush=True)
input()
"""


def test_cpu_time_includes_threads_that_have_ended() -> None:
    """A server's short-lived helper threads cost CPU too."""
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        own = float(process.stdout.readline())
        # A joined thread is still in the list for a moment.
        deadline = time.monotonic() + 10
        while procfs.thread_count(process.pid) > 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert procfs.cpu_seconds(process.pid) >= own >= 0.2
        process.communicate(b"\n")


def test_cpu_time_includes_child_processes() -> None:
    """A server that works in a child is charged for it."""
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        own = float(process.stdout.readline())
        assert procfs.cpu_seconds(process.pid) >= own
        process.communicate(b"\n")


def test_resident_memory_of_this_process_is_plausible() -> None:
    """The figure is in bytes, not in kilobytes or pages."""
    assert 4 * 2**20 < procfs.resident_bytes(os.getpid()) < 2**40


def test_a_process_wakes_as_often_as_it_has_slept() -> None:
    """All threads count; one that waits for something else does not."""
    code = "import time\nfor _ in range(20): time.sleep(0.001)\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = procfs.wakes(process.pid)
        assert 20 <= first < 200
        assert procfs.wakes(process.pid) <= first + 1
        process.communicate(b"\n")


def test_proportional_memory_is_no_more_than_resident_memory() -> None:
    """What libraries share with others counts by its part only; of a process without children, which count too."""
    with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        proportional, resident = procfs.proportional_bytes(process.pid), procfs.resident_bytes(process.pid)
        process.communicate(b"\n")
    assert 2**20 < proportional <= resident * 1.2


def test_cpu_time_of_children_that_have_ended_is_told_apart() -> None:
    """A server that saves in a child has no child left when the file is there."""
    before = procfs.ended_children_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", BURN], input=b"\n", stdout=subprocess.DEVNULL, check=True)
    assert procfs.ended_children_seconds(os.getpid()) - before >= 0.15


def test_a_process_that_is_gone_raises() -> None:
    """A figure of a dead server must not read as zero."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(ProcessLookupError):
        procfs.cpu_seconds(process.pid)


@pytest.fixture
def answering() -> Iterator[tuple[int, list[bytes]]]:
    """A port that answers every command with the next of a list of replies, then closes."""
    replies: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while replies and connection.recv(65536):
                connection.sendall(replies.pop(0))

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1], replies
    thread.join(10)
    listener.close()


def test_replies_of_every_resp2_type_are_read(answering: tuple[int, list[bytes]]) -> None:
    """Strings, numbers, nulls and nested arrays."""
    port, replies = answering
    replies += [b"+PONG\r\n", b":-3\r\n", b"$-1\r\n", b"*2\r\n$2\r\nab\r\n*1\r\n:1\r\n", b"-ERR no\r\n"]
    with Client(port) as client:
        assert [client.call("X") for _ in range(4)] == ["PONG", -3, None, ["ab", [1]]]
        with pytest.raises(ServerError, match="ERR no"):
            client.call("X")


@pytest.mark.parametrize("reply", [b"hello\r\n", b":x\r\n", b"+no line feed", b"$5\r\nab", b"*2000000\r\n"])
def test_what_is_not_resp2_raises(answering: tuple[int, list[bytes]], reply: bytes) -> None:
    """Hostile or broken bytes end in one typed error."""
    port, replies = answering
    replies.append(reply)
    with Client(port) as client, pytest.raises(ProtocolError):
        client.call("X")


def test_info_becomes_fields(answering: tuple[int, list[bytes]]) -> None:
    """Headings and blank lines are left out; a value may hold a colon."""
    port, replies = answering
    body = b"# Server\r\nversion:1.2\r\n\r\nlisten:tcp:1\r\n"
    replies.append(b"$%d\r\n%s\r\n" % (len(body), body))
    with Client(port) as client:
        assert client.info() == {"version": "1.2", "listen": "tcp:1"}
