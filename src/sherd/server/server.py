"""`sherd.Server` for Python programs, and `run` for the command line.

    with sherd.Server(maxmemory="1gb") as server:
        client = redis.Redis(port=server.port)

A `Server` listens on a free loopback port unless told otherwise, has no metrics page unless it gets a port, touches no
signal handler, logs to Python's logger `sherd`, and may have company: any number of them live in one process. Its loop
has a thread of its own. `run` owns its process: it logs, handles signals, writes the pid file, and ends the process.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, NoReturn, Self

from sherd import __version__, native
from sherd.config import BY_NAME, NOTHING_SAVED, Config, Source, Value, did_you_mean
from sherd.config.control_group import memory_advice, memory_limit
from sherd.config.store import parse_value
from sherd.errors import ConfigError, SherdError, ThreadError
from sherd.log import get_logger
from sherd.observability.node import Node
from sherd.server.control import NativeRecord
from sherd.server.process import (
    PidFile,
    RoomForImports,
    StopSignals,
    end_process,
    notify_supervisor,
    reap_orphans,
)
from sherd.server.runtime import Runtime
from sherd.threads import run_loop, start_thread

_log = get_logger()

# From the wish to stop to the end of the process, or to the return of `Server.stop`, whatever is being executed.
END_SECONDS_MAX = 0.8
# Levels of native records as Python's logging has them.
_LOGGING_LEVELS = (logging.DEBUG, logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL)


class Server:
    """A server inside of this process.

    `config` is a whole configuration, `directives` are single ones, with underscores for dashes: `maxmemory="1gb"`,
    `appendonly=False`, `bind=["127.0.0.1", "::1"]`. Port 0, the default, takes any free port. `commands` are functions
    that `@sherd.command`, `@sherd.every` or `@sherd.on` has declared, modules of such, or their names. Raises
    ConfigError for what cannot be configured so, and SherdError from `start` for an address that is taken.
    """

    def __init__(self, config: Config | None = None, *, commands: Sequence[object] = (), **directives: object) -> None:
        if config is not None and not isinstance(config, Config):
            raise TypeError("config is what sherd.config.load_config makes of a file; directives have names: port=0")
        if isinstance(commands, str | bytes) or not isinstance(commands, Iterable):
            raise TypeError("commands are a list of functions, modules and names of modules, also if it is one: [take]")
        self.config = config if config is not None else _embedded_config()
        for name, value in directives.items():
            _put(self.config, name.replace("_", "-"), value)
        self.config.choose_threads()
        load = bool(self.config.get_tuple("save"))
        self._runtime = Runtime(self.config, _log_to_python, any_port=True, load=load, commands=commands)
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._was_stopped = False
        # The process that has its threads, once there are any.
        self._process_id: int | None = None

    def start(self) -> Self:
        """Bind, load and serve; returns when clients can connect and the data are there. A server starts once."""
        if self._thread is not None or self._was_stopped:
            raise RuntimeError("a server starts once: make another one")
        self._process_id = os.getpid()
        self._runtime.open()
        serving = threading.Event()
        try:
            self._thread = start_thread(lambda: self._serve(serving), "sherd-control")
        except ThreadError:
            self._was_stopped = True
            self._runtime.close()
            raise
        serving.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        atexit.register(self.stop)
        return self

    def _serve(self, serving: threading.Event) -> None:
        try:
            run_loop(self._runtime.serve(serving.set))
        except BaseException as error:
            if serving.is_set():
                raise
            # It is `start` that fails.
            self._failure = error
        finally:
            serving.set()

    def stop(self) -> None:
        """Stop serving, free the data, and end all threads; idempotent. Returns within a second.

        A command that takes longer cannot be broken off: then a warning is logged, and what it needs, which includes
        the data, is freed when it has ended. With save points a snapshot is taken first, which takes its time.
        """
        if self._process_id not in (None, os.getpid()):
            # A child that was forked has none of its threads, and the server goes on where they are.
            return
        self._was_stopped = True
        if self._thread is not None and self._thread is not threading.current_thread():
            self._runtime.save_at_end()
        self._runtime.request_stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(END_SECONDS_MAX)
            if self._thread.is_alive():
                self._runtime.tell_what_is_cut()
        atexit.unregister(self.stop)

    @property
    def port(self) -> int:
        """The TCP port that clients connect to."""
        return self._runtime.node.port

    @property
    def metrics_port(self) -> int:
        """The port of the metrics page; 0 where there is none."""
        return self._runtime.metrics_port

    @property
    def node(self) -> Node:
        """The state behind INFO and the metrics page."""
        return self._runtime.node

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _embedded_config() -> Config:
    config = Config()
    defaults: dict[str, Value] = {"bind": ("127.0.0.1",), "port": 0, "metrics-port": 0}
    for name, value in defaults.items():
        config.put(BY_NAME[name], value, Source.DEFAULT)
    return config


def _put(config: Config, name: str, value: object) -> None:
    parameter = BY_NAME.get(name)
    if parameter is None:
        raise ConfigError(f"unknown directive '{name}'{did_you_mean(name, BY_NAME)}")
    words = _words(value, multi=parameter.multi)
    try:
        parsed: Value = parse_value(parameter, words, config.get(name))
    except ConfigError as error:
        raise ConfigError(f"'{name} {' '.join(words)}': {error}") from error
    config.put(parameter, parsed, Source.COMMAND_LINE)


def _words(value: object, *, multi: bool) -> list[str]:
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, (list, tuple)):
        return [str(item) for item in value]
    return str(value).split() if multi else [str(value)]


def _log_to_python(records: Sequence[NativeRecord]) -> None:
    """Native records to the logger `sherd`, which belongs to the program around the server."""
    logger = logging.getLogger("sherd")
    for level, _, thread, event, fields in records:
        details = "".join(f" {name}={value}" for name, value in fields.items())
        logger.log(_LOGGING_LEVELS[max(0, min(level, 4))], "%s%s thread=%s", event, details, thread)


def run(config: Config) -> NoReturn:
    """Serve in the foreground until a signal or SHUTDOWN, and end the process, with code 0.

    Raises SherdError with one line for what keeps it from starting.
    """
    # structlog is of use here only: a program that embeds a server has logs of its own.
    from sherd.observability.logs import emit_native, setup_logs_from

    signals = StopSignals()
    setup_logs_from(config)
    _log.info("starting", version=__version__, pid=os.getpid(), python=sys.version.partition(" ")[0],
              config_file=str(config.config_file or ""))  # fmt: skip
    _log_findings(config)
    # The process is the server's own here; where it is embedded, huge pages are the host's affair.
    automatic = not config.get_bool("disable-thp")
    if not native.choose_huge_pages(automatic, gathers=config.get_bool("gather-huge-pages")):
        _log.warning("huge pages cannot be turned off", disable_thp="yes")
    pid_file = PidFile(config.get_str("pidfile"))
    end_asked = threading.Event()
    runtime = Runtime(config, emit_native, stop_asked=end_asked.set)

    def stop(number: signal.Signals) -> None:
        if end_asked.is_set():  # it ends already, with all saved that is to be
            return
        _log.info("stopping", signal=number.name)
        # Who asked for snapshots wants to lose nothing: a server that cannot save goes on, as Redis does.
        is_saved = True
        try:
            is_saved = runtime.save_at_end(_asked_by(number, config))
        except Exception:  # noqa: BLE001 - a mistake here must not be a server that no signal ends
            _log.exception("the last snapshot failed")
        if is_saved:
            runtime.request_stop()

    try:
        signals.start(stop)
        reap_orphans()
        _bound_end(runtime, pid_file, end_asked)
        runtime.open()
        RoomForImports().install()
    except SherdError as error:
        # Who started the server in the background, or has its log collected, sees nothing else of it.
        _log.error("the server cannot start", reason=str(error))
        raise
    _log_start(runtime)
    with pid_file:
        try:
            runtime.begin()
            run_loop(runtime.serve(lambda: _announce_ready(runtime)))
        except SherdError as error:
            _log.error("the server cannot start", reason=str(error))
            raise
    _log.info("stopped")
    end_process(0)


def _asked_by(number: signal.Signals, config: Config) -> tuple[str, ...]:
    """The words of SHUTDOWN that a signal stands for."""
    is_interrupt = number is signal.SIGINT
    return config.get_tuple("shutdown-on-sigint") if is_interrupt else config.get_tuple("shutdown-on-sigterm")


def _log_findings(config: Config) -> None:
    """What an operator should know of a configuration that can be used."""
    for warning in config.warnings:
        _log.warning("configuration", warning=warning)
    if config.source("save") is Source.DEFAULT:
        _log.warning(NOTHING_SAVED)
    if advice := memory_advice(config.get_int("maxmemory"), memory_limit()):
        _log.warning(advice)
    ignored = config.without_effect()
    if ignored:
        _log.warning("directives without effect in this version", directives=" ".join(ignored))


def _bound_end(runtime: Runtime, pid_file: PidFile, end_asked: threading.Event) -> None:
    """Once the server is to stop: end the process in time, even where the control plane waits for a command.

    The thread waits for that from the start: none may be left to begin when it is needed.
    """

    def end() -> None:
        end_asked.wait()
        time.sleep(END_SECONDS_MAX)
        runtime.tell_what_is_cut()
        runtime.remove_files()
        pid_file.remove()
        end_process(0)

    start_thread(end, "sherd-end")


def _log_start(runtime: Runtime) -> None:
    config = runtime.config
    limit: Any = config.get_int("maxmemory") or "none"
    _log.info(
        "configured", shards=config.get_int("shards"), io_threads=config.get_int("io-threads"),
        maxclients=config.get_int("maxclients"), maxmemory=limit, maxmemory_policy=config.get_str("maxmemory-policy"),
        mode="cluster" if runtime.node.cluster_enabled else "standalone",
    )  # fmt: skip
    for listener in runtime.node.listeners:
        where = {"port": listener.port} if listener.has_port else {}
        _log.info("listening", kind=listener.kind, addresses=" ".join(listener.addresses), **where)
    if runtime.metrics_port:
        _log.info("metrics page", address=config.get_str("metrics-bind"), port=runtime.metrics_port)


def _announce_ready(runtime: Runtime) -> None:
    _log.info("ready to accept connections")
    gc.enable()
    if runtime.config.get_str("supervised") in ("systemd", "auto"):
        notify_supervisor("READY=1")
