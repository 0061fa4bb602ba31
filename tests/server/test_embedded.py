"""`sherd.Server` runs the same engine inside a Python process."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from typing import Any

import pytest

from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only


def test_an_embedded_server_serves_on_a_port_of_its_own_choice() -> None:
    """port=0 takes a free one, and tells it."""
    import sherd

    with sherd.Server(port=0) as server, Wire(("127.0.0.1", server.port)) as wire:
        assert wire.call("SET", "k", "v").raw == b"+OK\r\n"
        assert wire.value("GET", "k") == b"v"


def test_several_embedded_servers_do_not_share_data() -> None:
    """Each has a keyspace of its own."""
    import sherd

    with sherd.Server(port=0) as first, sherd.Server(port=0) as second, sherd.Server(port=0) as third:
        ports = {first.port, second.port, third.port}
        assert len(ports) == 3
        for port in ports:
            with Wire(("127.0.0.1", port)) as wire:
                assert wire.call("SET", "k", str(port)).raw == b"+OK\r\n"
        for port in ports:
            with Wire(("127.0.0.1", port)) as wire:
                assert wire.value("GET", "k") == str(port).encode()


def test_an_embedded_server_stops_when_its_block_ends() -> None:
    """Clients are closed, and the port refuses."""
    import sherd

    with sherd.Server(port=0) as server:
        port = server.port
        wire = Wire(("127.0.0.1", port))
        wire.call("PING")
    assert wire.read_until_closed() == b""
    wire.close()
    with pytest.raises(OSError):
        Wire(("127.0.0.1", port), timeout_seconds=2)


def test_embedded_servers_come_and_go_without_leaving_threads() -> None:
    """Ten in a row leave the number of Python threads as it was."""
    import sherd

    before = threading.active_count()
    for _ in range(10):
        with sherd.Server(port=0) as server, Wire(("127.0.0.1", server.port)) as wire:
            wire.call("PING")
    assert threading.active_count() <= before + 1


def test_python_goes_on_while_an_embedded_server_works() -> None:
    """A client in the same process and the server do not wait for each other's interpreter lock."""
    import sherd

    with sherd.Server(port=0) as server, Wire(("127.0.0.1", server.port)) as wire:
        for number in range(500):
            assert wire.call("INCR", "n").raw == b":%d\r\n" % (number + 1)


def test_control_commands_work_in_an_embedded_server() -> None:
    """INFO and CONFIG are answered by Python, in the background."""
    import sherd

    with sherd.Server(port=0) as server, Wire(("127.0.0.1", server.port)) as wire:
        assert b"redis_version" in wire.value("INFO", "server")
        assert wire.value("CONFIG", "GET", "databases") == [b"databases", b"16"]


def test_a_process_ends_by_itself_when_a_server_was_forgotten() -> None:
    """No thread of the engine keeps the interpreter alive."""
    program = "import sherd; s = sherd.Server(port=0); s.__enter__(); print(s.port > 0)"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert finished.stdout.strip() == "True"
    assert finished.returncode == 0, finished.stderr


def test_keyboard_interrupt_stops_a_program_with_an_embedded_server() -> None:
    """The with block ends, and so does the process."""
    import signal

    program = (
        "import sherd, signal, time\n"
        # Whoever runs the tests in the background may have had the signal ignored, and children inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n"
        "    with sherd.Server(port=0) as s:\n"
        "        print('ready', flush=True)\n"
        # A signal that comes just before one long sleep begins would not end it: Python looks at signals between steps.
        "        for _ in range(1200):\n"
        "            time.sleep(0.05)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert "interrupted" in output
    assert process.returncode == 0


@pytest.mark.parametrize("first", ["start", "stop"])
def test_a_server_that_was_started_or_stopped_does_not_start_again(first: str) -> None:
    """Not silently, as one that nobody can connect to."""
    import sherd

    server = sherd.Server()
    getattr(server, first)()
    with pytest.raises(RuntimeError, match="a server starts once"):
        server.start()
    server.stop()


def test_what_keeps_a_server_from_serving_is_raised_whatever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import sherd

    server = sherd.Server()

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(server._runtime, "_prepare", fail)
    with pytest.raises(ZeroDivisionError):
        server.start()
    server.stop()


def test_the_port_of_a_server_that_was_not_started_is_a_clear_mistake() -> None:
    import sherd

    with pytest.raises(RuntimeError, match="was not started"):
        print(sherd.Server().port)


def test_the_name_of_a_file_is_no_configuration() -> None:
    import sherd

    with pytest.raises(TypeError, match="load_config"):
        sherd.Server("redis.conf")  # type: ignore[arg-type]


@pytest.mark.parametrize("commands", ["commands.py", b"commands.py", re, print, None])
def test_what_is_no_list_of_commands_is_told_so(commands: Any) -> None:
    """The story: the name of a file was taken for that of as many modules as it has characters."""
    import sherd

    with pytest.raises(TypeError, match="commands are a list"):
        sherd.Server(commands=commands)
