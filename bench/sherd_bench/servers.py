"""Finds, starts and stops the servers that are compared.

A server is looked up in its environment variable, then where `tests/compat/install_references.sh` puts the
references, then in PATH; Sherd comes from the project's own environment. Each runs in an empty folder of its own with
persistence off, on a free port, as a direct child: its pid is the one that CPU time is read from.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from sherd_bench import procfs
from sherd_bench.resp import Client, ProtocolError, ServerError

REPOSITORY = Path(__file__).resolve().parents[2]
REFERENCES = Path("/opt/ref/bin")
# A large append-only file takes its time.
START_SECONDS_MAX = 300.0
STOP_SECONDS_MAX = 20.0
READY_LOOK_SECONDS = 0.002
# A server is taken for idle when it used less than this share of a core over one look.
IDLE_SHARE = 0.05
IDLE_LOOK_SECONDS = 0.05
SETTLE_SECONDS_MAX = 3.0


class ServerUnavailableError(Exception):
    """A server cannot be found or does not start."""


@dataclass(frozen=True)
class ServerKind:
    """How to find and to call one program."""

    name: str
    environment_variable: str
    candidates: tuple[str, ...]
    arguments: tuple[str, ...]
    version_fields: tuple[str, ...]

    def find(self) -> Path | None:
        """The program, or None where it is not installed."""
        chosen = os.environ.get(self.environment_variable)
        for candidate in (chosen,) if chosen else self.candidates:
            found = shutil.which(candidate)
            if found:
                return Path(found)
        return None


_REDIS_ARGUMENTS = ("--save", "", "--appendonly", "no", "--daemonize", "no")

KINDS = {
    kind.name: kind
    for kind in (
        ServerKind(
            name="sherd",
            environment_variable="SHERD_BENCH_SHERD",
            candidates=(str(REPOSITORY / ".venv/bin/sherd"), "sherd"),
            arguments=("serve", "--metrics-port", "0", "--save", ""),
            version_fields=("sherd_version",),
        ),
        # Another state of the project, to be compared with this one.
        ServerKind(
            name="before",
            environment_variable="SHERD_BENCH_BEFORE",
            candidates=(),
            arguments=("serve", "--metrics-port", "0", "--save", ""),
            version_fields=("sherd_version",),
        ),
        ServerKind(
            name="valkey",
            environment_variable="SHERD_BENCH_VALKEY",
            candidates=(str(REFERENCES / "valkey9"), "valkey-server"),
            arguments=_REDIS_ARGUMENTS,
            version_fields=("valkey_version",),
        ),
        ServerKind(
            name="redis",
            environment_variable="SHERD_BENCH_REDIS",
            candidates=(str(REFERENCES / "redis8"), "redis-server"),
            arguments=_REDIS_ARGUMENTS,
            version_fields=("redis_version",),
        ),
        ServerKind(
            name="redis7",
            environment_variable="SHERD_BENCH_REDIS7",
            candidates=(str(REFERENCES / "redis7"),),
            arguments=_REDIS_ARGUMENTS,
            version_fields=("redis_version",),
        ),
    )
}


@dataclass(frozen=True)
class ServerPlan:
    """One column of a comparison: a kind with more arguments."""

    label: str
    kind: ServerKind
    extra_arguments: tuple[str, ...] = ()
    # A program that runs the server, with its arguments.
    runner: tuple[str, ...] = ()


@dataclass
class RunningServer:
    """A started server and a control connection to it."""

    plan: ServerPlan
    port: int
    process: subprocess.Popen[bytes]
    # None where its files are somebody else's.
    folder: tempfile.TemporaryDirectory[str] | None
    version: str = ""
    # From the call of the program to its first answer.
    ready_seconds: float = 0.0
    _clients: list[Client] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The name of its column."""
        return self.plan.label

    @property
    def pid(self) -> int:
        """The process whose CPU and memory count."""
        return self.process.pid

    def client(self) -> Client:
        """The control connection, opened at the first use."""
        if not self._clients:
            self._clients.append(Client(self.port))
        return self._clients[0]

    def cpu_seconds(self) -> float:
        """CPU time so far."""
        return procfs.cpu_seconds(self.pid)

    def flush(self) -> None:
        """Empties the server and waits until it has also freed what it frees in the background."""
        try:
            self.client().call("FLUSHALL", "SYNC")
        except ServerError:
            self.client().call("FLUSHALL")
        self.settle()

    def settle(self) -> None:
        """Waits until the server is idle, so that work left over does not count for the next measurement."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        before = self.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(IDLE_LOOK_SECONDS)
            now = self.cpu_seconds()
            if now - before < IDLE_SHARE * IDLE_LOOK_SECONDS:
                return
            before = now

    def stop(self) -> None:
        """Ends the process and removes its folder, if it is its own."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.folder is not None:
            self.folder.cleanup()


def plans(names: Sequence[str] | None, extra_arguments: dict[str, tuple[str, ...]]) -> list[ServerPlan]:
    """The servers asked for, or all that are installed (one Redis: the newer) when none is named."""
    wanted = list(names) if names else [name for name in ("sherd", "valkey", "redis") if KINDS[name].find()]
    chosen = []
    for name in wanted:
        kind = KINDS.get(name)
        if kind is None:
            raise ServerUnavailableError(f"no server is called {name}; there are {', '.join(KINDS)}")
        chosen.append(ServerPlan(name, kind, extra_arguments.get(name, ())))
    if not chosen:
        raise ServerUnavailableError("no server is installed")
    return chosen


def start(
    plan: ServerPlan, cores: AbstractSet[int], files: Path | None = None, *, ask_version: bool = True
) -> RunningServer:
    """Starts a server that may use these cores, and waits until it answers PING; `files`: a folder that stays.

    Without `ask_version` nothing else is asked of it, which may cost it memory.
    """
    program = plan.kind.find()
    if program is None:
        raise ServerUnavailableError(f"{plan.kind.name} is not installed; set ${plan.kind.environment_variable}")
    port = _free_port()
    folder = tempfile.TemporaryDirectory(prefix=f"bench-{plan.label}-") if files is None else None
    place = files or Path(folder.name if folder else "")
    log_path = place / "server.log"
    command = [
        *plan.runner,
        str(program),
        *plan.kind.arguments,
        "--port",
        str(port),
        "--dir",
        str(place),
        *plan.extra_arguments,
    ]
    begun = time.monotonic()
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 (a program that the user chose, called without a shell)
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=place,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 (this program has one thread)
        )
    server = RunningServer(plan, port, process, folder)
    try:
        _wait_until_ready(server, log_path)
        server.ready_seconds = time.monotonic() - begun
        info = server.client().info("server") if ask_version else {}
    except BaseException:
        server.stop()
        raise
    server.version = next((info[name] for name in plan.kind.version_fields if name in info), "unknown")
    return server


def _wait_until_ready(server: RunningServer, log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise ServerUnavailableError(f"{server.label} ended at its start:\n{_tail(log_path)}")
        try:
            with Client(server.port, timeout_seconds=2.0) as client:
                if client.call("PING") == "PONG":
                    return
        except (OSError, ProtocolError, ServerError):
            time.sleep(READY_LOOK_SECONDS)
    raise ServerUnavailableError(f"{server.label} did not answer in time:\n{_tail(log_path)}")


def _tail(log_path: Path) -> str:
    return "\n".join(log_path.read_text(errors="replace").splitlines()[-15:])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
