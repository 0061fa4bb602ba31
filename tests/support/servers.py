"""Server processes for tests: Sherd itself, or a reference to compare it with, each on a free loopback port.

Starting a process costs a hundred times what a command costs, so a test asks the `ServerPool` for a server with given
directives and shares it with every other test that asks for the same ones; the pool empties it in between. A test
that changes configuration, stops the server or fills it up starts one of its own with `Server(...)`.

Every wait has a bound, a server is stopped by its own pid, and its output stays in a file that failing tests show.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.wire import Address, ConnectionClosed, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

start_timeout_seconds = 30.0
stop_timeout_seconds = 15.0
start_attempts_max = 5
log_tail_bytes = 6000

# Ports that the kernel gives to no client by itself (from 32768 on), nor their +10000 counterparts, where the references
# open a cluster bus.
port_lowest = 11000
port_highest = 22000

stand_in_variable = "SHERD_TEST_BINARY"
"""Names another server command, so that a suite can be tried against a real Redis or Valkey."""


class ServerDidNotStart(Exception):
    """The process ended, or stayed silent, before it answered PING."""


def stand_in_command() -> list[str] | None:
    """The command that stands in for Sherd, or None."""
    command = os.environ.get(stand_in_variable)
    return shlex.split(command) if command else None


def sherd_command() -> list[str]:
    """How Sherd is run: in the environment that runs the tests, or by an interpreter that has Sherd as well."""
    return [os.environ.get("SHERD_TEST_PYTHON", sys.executable), "-m", "sherd"]


@dataclass(frozen=True)
class Shape:
    """How many shards and IO threads Sherd runs with; the references ignore it."""

    shards: int = 1
    io_threads: int = 2


@dataclass(frozen=True)
class Program:
    """A server program: its command line, and whether it is Sherd."""

    name: str
    command: tuple[str, ...]
    is_sherd: bool = False

    def arguments(self, shape: Shape, directives: Mapping[str, str]) -> list[str]:
        """The whole command line."""
        line = list(self.command)
        for name, value in directives.items():
            line += [f"--{name}", *(value.split(" ") if name in _many_valued and value else [value])]
        if self.is_sherd:
            line += ["--shards", str(shape.shards), "--io-threads", str(shape.io_threads), "--metrics-port", "0"]
        return line


_many_valued = frozenset({"client-output-buffer-limit", "bind", "python-commands", "rename-command"})


def sherd_program() -> Program:
    """The program under test."""
    stand_in = stand_in_command()
    if stand_in is not None:
        return Program("stand-in", tuple(stand_in))
    return Program("sherd", (*sherd_command(), "serve"), is_sherd=True)


@functools.cache
def _port_locks() -> int:
    """A file with a byte for each port; whoever uses a port has locked its byte."""
    return os.open(Path(tempfile.gettempdir()) / "sherd-test-ports", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


_ports_taken: set[int] = set()


def free_port() -> int:
    """A loopback port that nothing listens on, whose +10000 counterpart is free too.

    No other process gets it from here as long as this one lives: a server that is asked whether it has started must not be one
    that another process has started on the same port in between.
    """
    if len(_ports_taken) > (port_highest - port_lowest) // 2:
        # A harness that runs for days may use its own ones again.
        _ports_taken.clear()
    for _ in range(2000):
        port = random.randrange(port_lowest, port_highest)
        if port in _ports_taken:
            continue
        with contextlib.suppress(OSError), socket.socket() as first, socket.socket() as second:
            fcntl.lockf(_port_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            _ports_taken.add(port)
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 10000))
            return port
    raise RuntimeError("no free port found")


_directories: set[Path] = set()
"""Of servers of this process, but for those whose test has failed: somebody may want to look at these."""


def remove_directories() -> None:
    """Removes what is left of servers that did not start, as they were to, or were killed."""
    for directory in _directories:
        shutil.rmtree(directory, ignore_errors=True)


started: list[Server] = []
"""Servers that were started and that no report has looked at yet, in their order."""


class Server:
    """A running server process; a context manager that stops it."""

    def __init__(
        self,
        program: Program | None = None,
        *,
        shape: Shape | None = None,
        directives: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        await_ping: bool = True,
        descriptor_limit: int | None = None,
    ) -> None:
        self.program = program or sherd_program()
        self.shape = shape or Shape()
        self.directory = Path(tempfile.mkdtemp(prefix="sherd-test-"))
        _directories.add(self.directory)
        self.log_path = self.directory / "log"
        self.directives = {
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "loglevel": "notice" if self.program.is_sherd else "warning",
            "dir": str(self.directory),
            **(directives or {}),
        }
        self.environment = {**os.environ, **(environment or {})}
        self.descriptor_limit = descriptor_limit
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        started.append(self)
        self._start(await_ping)

    def _start(self, await_ping: bool) -> None:
        fixed_port = self.directives.get("port")
        for attempt in range(start_attempts_max):
            self.port = int(fixed_port) if fixed_port is not None else free_port()
            try:
                self._launch()
                if await_ping:
                    self._await_ping()
            except ServerDidNotStart:
                self.stop()
                # A free port can be taken by another process between the look and the bind.
                if fixed_port is None and "in use" in self.log().lower() and attempt + 1 < start_attempts_max:
                    continue
                raise
            else:
                return

    def _launch(self) -> None:
        line = self.program.arguments(self.shape, {**self.directives, "port": str(self.port)})
        if self.descriptor_limit is not None:
            limit = self.descriptor_limit
            line = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *line]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, cwd=self.directory
            )

    def _await_ping(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + start_timeout_seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerDidNotStart(
                    f"{self.program.name} ended with code {self.process.returncode}:\n{self.log()[-log_tail_bytes:]}"
                )
            with contextlib.suppress(OSError, ConnectionClosed), Wire(self.address, timeout_seconds=2) as wire:
                # Any answer will do: with a password set it is an error.
                if not wire.call("PING").raw.startswith(b"-LOADING"):
                    return
            time.sleep(0.02)
        raise ServerDidNotStart(f"{self.program.name} did not answer PING:\n{self.log()[-log_tail_bytes:]}")

    @property
    def address(self) -> Address:
        """Where clients connect."""
        if self.port == 0:
            return self.directives["unixsocket"]
        return ("127.0.0.1", self.port)

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process is not None
        return self.process.pid

    def log(self) -> str:
        """What the server printed so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def is_running(self) -> bool:
        """Whether the process still lives."""
        return self.process is not None and self.process.poll() is None

    def wire(self, *, protocol: int = 2, timeout_seconds: float = 20.0) -> Wire:
        """A new connection."""
        return Wire(self.address, protocol=protocol, timeout_seconds=timeout_seconds)

    def flush(self) -> None:
        """Empties every database."""
        with self.wire() as wire:
            assert wire.call("FLUSHALL").raw == b"+OK\r\n"

    def signal_and_wait(self, number: signal.Signals, timeout_seconds: float = stop_timeout_seconds) -> int:
        """Sends a signal and returns the exit code; fails when the process outlives the bound."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout_seconds)

    def stop(self) -> None:
        """Stops the process by its pid, politely first."""
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                self.signal_and_wait(signal.SIGTERM)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(stop_timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None:
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            _directories.discard(self.directory)


@dataclass
class ServerPool:
    """Long-lived servers, one for each different request, emptied each time that they are handed out."""

    servers: dict[tuple[str, Shape, tuple[tuple[str, str], ...]], Server] = field(default_factory=dict)
    in_use: list[Server] = field(default_factory=list)

    def get(
        self,
        program: Program | None = None,
        *,
        shape: Shape | None = None,
        directives: Mapping[str, str] | None = None,
        flush: bool = True,
    ) -> Server:
        """A running server; one that died since is reported by the test that killed it and replaced here."""
        program = program or sherd_program()
        shape = shape or Shape()
        if not program.is_sherd:
            shape = Shape()
        key = (program.name, shape, tuple(sorted((directives or {}).items())))
        server = self.servers.get(key)
        if server is None or not server.is_running():
            server = self.servers[key] = Server(program, shape=shape, directives=directives)
        elif flush:
            server.flush()
        if server not in self.in_use:
            self.in_use.append(server)
        return server

    def drain_used(self) -> Iterator[Server]:
        """The servers handed out since the last call, for failure reports."""
        used, self.in_use = self.in_use, []
        yield from used

    def stop(self) -> None:
        """Stops every server; all are told before the first is waited for."""
        for server in self.servers.values():
            if server.process is not None:
                server.process.terminate()
        for server in self.servers.values():
            server.stop()
            shutil.rmtree(server.directory, ignore_errors=True)
