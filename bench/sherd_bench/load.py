"""Runs the load generator and reads what it measured."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sherd_bench.servers import REPOSITORY, RunningServer, ServerUnavailableError

RUN_SECONDS_MAX = 600.0
# Of probes: the shortest there is. Else their longest latency is how long they have waited for a core themselves.
PROBE_TIME_SLICE_US = 100


@dataclass(frozen=True)
class LoadPlan:
    """What the generator sends."""

    commands: tuple[str, ...]
    clients: int = 50
    threads: int = 1
    pipeline: int = 1
    requests: int | None = None
    duration_seconds: float | None = None
    rate: int | None = None
    keys: int = 100_000
    value_size_bytes: int = 64
    sequential: bool = False
    # What each connection sends once before the run.
    setup: tuple[str, ...] = ()
    # What its threads ask the kernel for; None: nothing.
    time_slice_us: int | None = None
    # None: the server's own.
    port: int | None = None
    # Encrypts, and trusts the authorities of this file.
    tls_authorities: Path | None = None

    def arguments(self, port: int) -> list[str]:
        """The command line of `sherd-load`, without the program."""
        pairs: list[tuple[str, object]] = [
            ("--port", self.port or port),
            ("--tls-ca", self.tls_authorities),
            ("--clients", self.clients),
            ("--threads", self.threads),
            ("--pipeline", self.pipeline),
            ("--keys", self.keys),
            ("--value-size", self.value_size_bytes),
            ("--requests", self.requests),
            ("--duration", self.duration_seconds),
            ("--rate", self.rate),
            ("--time-slice", self.time_slice_us),
        ]
        pairs.extend(("--command", command) for command in self.commands)
        pairs.extend(("--setup", command) for command in self.setup)
        words = [word for name, value in pairs if value is not None for word in (name, str(value))]
        return [*words, "--sequential"] if self.sequential else words


@dataclass(frozen=True)
class LoadResult:
    """What the generator measured; times in microseconds."""

    requests: int
    errors: int
    nulls: int
    error_texts: tuple[str, ...]
    elapsed_seconds: float
    requests_per_second: float
    generator_cpu_us_per_request: float
    p50_us: float
    p99_us: float
    p99_9_us: float
    max_us: float

    @classmethod
    def from_json(cls, text: str) -> "LoadResult":
        """Reads the object that the generator prints."""
        values = json.loads(text)
        latency = values["latency_us"]
        return cls(
            requests=int(values["requests"]),
            errors=int(values["errors"]),
            nulls=int(values["nulls"]),
            error_texts=tuple(str(item) for item in values["error_texts"]),
            elapsed_seconds=float(values["elapsed_seconds"]),
            requests_per_second=float(values["requests_per_second"]),
            generator_cpu_us_per_request=float(values["generator_cpu_us_per_request"]),
            p50_us=float(latency["p50"]),
            p99_us=float(latency["p99"]),
            p99_9_us=float(latency["p99_9"]),
            max_us=float(latency["max"]),
        )


class LoadError(Exception):
    """The generator could not finish."""


@dataclass(frozen=True)
class Generator:
    """The program and the cores it may use (None: all)."""

    program: Path
    cores: frozenset[int] | None = None

    def run(self, server: RunningServer, plan: LoadPlan) -> LoadResult:
        """Loads the server and waits for the end."""
        with self.start(server, plan) as running:
            return running.result()

    def start(self, server: RunningServer, plan: LoadPlan) -> "RunningLoad":
        """Loads the server in the background."""
        return RunningLoad(self._spawn(plan.arguments(server.port)))

    def _spawn(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 (the program and the words are the caller's own)
            [str(self.program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.cores is not None:
            # Its threads start after the connections are open, which takes far longer than this call.
            os.sched_setaffinity(process.pid, self.cores)
        return process


class RunningLoad:
    """A generator at work."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> LoadResult:
        """Asks it to end now and returns what it measured."""
        self._process.send_signal(signal.SIGTERM)
        return self.result()

    def result(self) -> LoadResult:
        """Waits for the end and returns what it measured."""
        try:
            output, errors = self._process.communicate(timeout=RUN_SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"the generator took over {RUN_SECONDS_MAX:.0f} seconds") from error
        if self._process.returncode != 0:
            raise LoadError(errors.strip() or f"the generator ended with {self._process.returncode}")
        return LoadResult.from_json(output)


def find_generator() -> Path:
    """The generator: $SHERD_BENCH_LOAD, else as it is in the sources, else what was built last, or is in PATH."""
    folder = REPOSITORY / "bench"
    target = Path(os.environ.get("CARGO_TARGET_DIR", folder / "target"))
    built = target / "release" / "sherd-load"
    chosen = os.environ.get("SHERD_BENCH_LOAD")
    cargo = shutil.which("cargo")
    if not chosen and cargo is not None:
        # At once where nothing has changed; an old one would not know every option.
        command = [cargo, "build", "--quiet", "--release"]
        if subprocess.run(command, cwd=folder, check=False).returncode != 0:  # noqa: S603 (constant words)
            raise ServerUnavailableError("the generator could not be built")
        return built
    for candidate in (chosen,) if chosen else (str(built), "sherd-load"):
        found = shutil.which(candidate)
        if found:
            return Path(found)
    raise ServerUnavailableError("the generator is missing: cargo build --release --manifest-path bench/Cargo.toml")
