"""What one server has loaded: commands, jobs, hooks, and the threads that execute them.

Nothing is started or imported for a server without extensions. What is loaded is handed to the data plane as a whole,
and replaced as a whole; a request that was being executed meanwhile ends with the functions that it began with.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any

from sherd.errors import CommandError, DeclarationError, LoadError
from sherd.later import load
from sherd.log import get_logger
from sherd.record import field, record
from sherd.resp import Error, Simple
from sherd.threads import native_threads, start_thread

if TYPE_CHECKING:
    from sherd import native
    from sherd.extensions.declare import Declared, DeclaredCommand, DeclaredHook, DeclaredJob
    from sherd.extensions.sources import Source
    from sherd.extensions.specification import Command

_log = get_logger()

# A command that is being executed when the server ends is not waited for any longer.
_END_SECONDS_MAX = 0.1

# Rows of the command table, for whoever shows it.
ShowCommands = Callable[[Sequence[Any]], None]
IsTaken = Callable[[bytes], bool]


@record(frozen=False)
class Loaded:
    """Commands by name, jobs and hooks by number, and the source that has brought each command."""

    commands: list[Command] = field(default_factory=list)
    jobs: dict[int, DeclaredJob] = field(default_factory=dict)
    hooks: dict[int, DeclaredHook] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)


class Extensions:
    """See the module. `is_taken` tells whether a name belongs to a command of the server itself."""

    def __init__(self, engine: native.Server, origins: Sequence[object], is_taken: IsTaken, show: ShowCommands) -> None:
        self._engine = engine
        self._origins = origins
        self._sources: list[Source] = []
        self._is_taken = is_taken
        self._show = show
        self._loaded = Loaded()
        self._next_task = 0
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._reloading = threading.Lock()

    def load(self) -> None:
        """Load everything for the first time; raises LoadError."""
        if not self._origins:
            return
        # Whose modules may import what they like.
        load("asyncio", "structlog.stdlib", "structlog.threadlocal")
        from sherd.extensions.sources import sources_of

        self._sources = sources_of(self._origins)
        for source in self._sources:
            source.read()
        if self._sources:
            self._install()

    # ---- what there is

    @property
    def loaded(self) -> Loaded:
        """All of it at this moment: another thread may load it again."""
        return self._loaded

    # ---- loading again

    def reload(self, name: str | None = None) -> list[str]:
        """Load a module or file anew, or all of them; raises LoadError, and then everything is as it was.

        Returns what was loaded. In a thread that may wait: modules do what they like when they are loaded.
        """
        with self._reloading:
            chosen = [source for source in self._sources if name in (None, source.name, source.module_name)]
            chosen = [source for source in chosen if source.may_be_loaded_again]
            if not chosen:
                raise LoadError(f"no module {name} was loaded" if name is not None else "no module was loaded")
            from sherd.extensions.sources import loaded_again

            with loaded_again(chosen):
                self._install()
        _log.info("extensions were loaded again", modules=" ".join(source.name for source in chosen))
        return [source.name for source in chosen]

    def _install(self) -> None:
        from sherd.extensions.specification import hook_form, job_form

        loaded = self._read()
        jobs = [job_form(number, job) for number, job in loaded.jobs.items()]
        hooks = [hook_form(number, hook) for number, hook in loaded.hooks.items()]
        try:
            rows = self._engine.set_extensions(
                [command.native_form() for command in loaded.commands],
                jobs + hooks,
                types=(CommandError, Simple, Error),
                failed=_log_failure,
            )
        except ValueError as error:
            raise LoadError(str(error)) from error
        self._loaded = loaded
        self._show([{**row, "module": loaded.modules[row["name"]]} for row in rows])
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._schedule)

    def _read(self) -> Loaded:
        from sherd.extensions.declare import DeclaredHook, DeclaredJob
        from sherd.extensions.sources import declared_by_all
        from sherd.extensions.specification import check_task

        loaded = Loaded()
        for source, declared in declared_by_all(self._sources):
            try:
                if isinstance(declared, DeclaredJob | DeclaredHook):
                    check_task(declared)
                if isinstance(declared, DeclaredJob):
                    loaded.jobs[self._number(declared)] = declared
                elif isinstance(declared, DeclaredHook):
                    loaded.hooks[self._number(declared)] = declared
                else:
                    command = self._read_command(declared, loaded.modules)
                    loaded.commands.append(command)
                    loaded.modules[command.name] = source.name
            except DeclarationError as error:
                raise LoadError(f"{source.name}: {error}") from error
        loaded.commands.sort(key=lambda command: command.name)
        return loaded

    def _read_command(self, declared: DeclaredCommand, names: Container[str]) -> Command:
        from sherd.extensions.specification import read_command

        command = read_command(declared)
        if command.name in names:
            raise DeclarationError(f"{command.name} is declared twice")
        if self._is_taken(command.name.encode()):
            raise DeclarationError(f"{command.name} is a command of the server; app.{command.name} would be none")
        return command

    def _number(self, declared: Declared) -> int:
        # What was not loaded again keeps its number, and with it the time of its next run.
        for number, known in (*self._loaded.jobs.items(), *self._loaded.hooks.items()):
            if known is declared:
                return number
        # Never given twice: a job that is under way belongs to what was loaded when it began.
        self._next_task += 1
        return self._next_task

    # ---- running

    def start(self, threads: int) -> None:
        """Start the threads, in the running loop, which keeps the jobs' time."""
        if not self._sources:
            return
        with native_threads():
            self._engine.watch_extensions()
        for number in range(threads):
            thread = start_thread(lambda: self._engine.run_extensions(threads), f"sherd-python-{number}")
            self._threads.append(thread)
        self._loop = asyncio.get_running_loop()
        self._schedule()

    def stop_jobs(self) -> None:
        """Begin no more jobs; in the loop."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._loop = None

    def join(self) -> None:
        """Wait for the threads, which end with the engine."""
        for thread in self._threads:
            thread.join(_END_SECONDS_MAX)
        self._threads.clear()

    def _schedule(self) -> None:
        """Have a timer for each job that there is, and for no other."""
        for number in self._timers.keys() - self._loaded.jobs.keys():
            self._timers.pop(number).cancel()
        for number, job in self._loaded.jobs.items():
            if number not in self._timers:
                self._set_timer(number, job)

    def _set_timer(self, number: int, job: DeclaredJob) -> None:
        if self._loop is not None:
            self._timers[number] = self._loop.call_later(job.seconds, self._begin_job, number, job)

    def _begin_job(self, number: int, job: DeclaredJob) -> None:
        self._engine.begin_job(number)
        self._set_timer(number, job)


def default_threads(shards: int) -> int:
    """How many threads execute commands unless the operator says otherwise: one where a lock would hold up the
    others."""
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    return 1 if has_lock else shards


def _log_failure(name: str, client: str, error: BaseException, untold: int) -> None:
    more = {"untold": untold} if untold else {}
    _log.error("a Python command failed", command=name, client=client, exc_info=error, **more)
