"""One server's life: from a configuration to bound ports, to a running loop, to the last reply.

`open` does everything that can fail for reasons of the operator (ports, limits) and runs in the caller's thread, so
that the error is the caller's; `serve` runs in an event loop until `request_stop`. Both the command line and
`sherd.Server` use this; what differs between them (signals, logs, threads) is theirs. In between the command line calls
`begin`: clients of a server that has nothing to load are served by the data plane while the event loop is still being
made, which with the import of asyncio is a fifth of a start.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from sherd import __version__, native
from sherd.acl import AccessControl, Catalogue
from sherd.config import BY_NAME, Config, refuse_contradictions
from sherd.errors import ConfigApplyError, ConfigError, EndCalledOffError, SherdError
from sherd.extensions.manager import Extensions, default_threads
from sherd.families.command_table import CommandTable
from sherd.families.data_plane import DataPlane
from sherd.families.dispatch import dispatch
from sherd.families.hotkeys import HotKeySessions
from sherd.families.server import Lifecycle
from sherd.log import get_logger
from sherd.observability.loading import load_state
from sherd.observability.node import Node, StartLoad
from sherd.persistence import AppendOnly, LoadAtStart, SaveError, Saver
from sherd.replication import Failover, Follower, Primary
from sherd.scripting import MAKER
from sherd.server.commands import configured_renames, declare_commands, load_extensions
from sherd.server.control import ControlLoop, LogSink
from sherd.server.listeners import Listeners
from sherd.server.metrics_page import MetricsPage
from sherd.server.process import raise_descriptor_limit
from sherd.server.script_calls import ScriptCalls
from sherd.server.settings import native_settings
from sherd.server.tls import CERTIFICATE_FILES, TLS_PARAMETERS, Renewals, set_up_tls, uses_tls
from sherd.server.unowned import unowned
from sherd.spec import Request, Services, registered_commands
from sherd.threads import begin_in_thread, in_thread, native_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

_log = get_logger()

# The loop mostly sleeps, and is to answer soon after it wakes however busy the data plane is.
_CONTROL_SLICE_MICROSECONDS = 100
# How often the log tells how far loading is, and how long a load that is broken off is waited for.
_LOAD_TOLD_SECONDS = 2.0
_LOAD_END_SECONDS_MAX = 0.2
# How long an end waits for the loop to begin.
_LOOP_SECONDS_MAX = 10
# Beyond `shutdown-timeout`.
_END_SLACK_SECONDS = 1.0
# What is left of a second's end for the data plane: clients that take their replies get them all within this.
STOP_SECONDS_MAX = 0.6
_SAVE_PARAMETERS = frozenset({"save", "stop-writes-on-bgsave-error"})
_REPLICATION_PARAMETERS = frozenset(
    {"replica-read-only", "replica-serve-stale-data", "repl-timeout", "repl-backlog-size"}
)


class Runtime:
    """See the module. `any_port`: the configured port 0 means "any free one" rather than "no TCP".

    load: the snapshot that is there is loaded before anything is served.
    stop_asked: called once, by the first who asks for the end, in whatever thread that is.
    commands: what brings commands in Python, besides what the configuration names.
    """

    def __init__(
        self,
        config: Config,
        log_sink: LogSink,
        *,
        any_port: bool = False,
        load: bool = True,
        stop_asked: Callable[[], None] | None = None,
        commands: Sequence[object] = (),
    ) -> None:
        self.config = config
        self._log_sink = log_sink
        self._any_port = any_port
        self._load = load
        self._extension_origins = commands
        self._start_load: LoadAtStart | None = None
        # Whether the append-only file was on when it was decided what to load.
        self._appends_from_start = False
        self._node: Node | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Set for good when there is one.
        self._has_loop = threading.Event()
        self._stop: asyncio.Event | None = None
        self._stop_asked = False
        self._on_stop_asked = stop_asked
        # Whether the data plane's threads run.
        self._begun = self._may_serve = False

    @property
    def node(self) -> Node:
        """The server's state; there once `open` has returned."""
        if self._node is None:
            raise RuntimeError("the server was not started")
        return self._node

    @property
    def metrics_port(self) -> int:
        """The port of the metrics page; 0 where there is none."""
        return self._metrics_page.port if self._node is not None else 0

    def open(self) -> None:
        """Make the engine and bind every address; raises SherdError with one line for the operator."""
        declare_commands()
        config = self.config
        room = raise_descriptor_limit(config.get_int("maxclients"), config.get_int("io-threads"))
        config.put(BY_NAME["maxclients"], room, config.source("maxclients"))
        refuse_contradictions(config)
        if config.get_bool("cluster-enabled"):
            config.put(BY_NAME["databases"], 1, config.source("databases"))
        with native_threads():
            engine = native.Server(
                shards=config.get_int("shards"),
                io_threads=config.get_int("io-threads"),
                cluster=config.get_bool("cluster-enabled"),
                settings={"databases": config.get_int("databases")},
            )
        # Once for all who want it. It takes a megabyte, and most servers are never asked for anything of it.
        self._read_rows = functools.cache(native.command_table)
        self._commands = CommandTable(self._read_rows, self._rename_commands(engine))
        node = Node(engine, config, native.histogram_bounds(), __version__, find_build_id=native.build_id)
        self._listeners = Listeners(node, any_port=self._any_port)
        self._metrics_page = MetricsPage(node)
        # A signal may end it from now on.
        self._node = node
        self._saver = Saver(self._node)
        self._append = AppendOnly(self._node, self._saver)
        self._primary = Primary(self._node, self._saver)
        self._follower = Follower(self._node, unowned(self._execute), self._append)
        self._failover = Failover(self._node, self._follower)
        self._renewals = Renewals(config, unowned(self._renew_certificates))
        self._extension_rows: Sequence[Mapping[str, Any]] = ()
        self._extensions = Extensions(engine, self._origins(), self._commands.is_own, unowned(self._show_extensions))
        try:
            self._push_settings(native_settings(config))
            load_extensions(self._extensions)
            catalogue = Catalogue(native.command_count(), self._read_rows)
            catalogue.learn(self._extension_rows)
            self._access = AccessControl(engine, catalogue, config)
            self._access.load_at_start()
            set_up_tls(engine, config)
            self._listeners.open()
            self._find_data()
            self._metrics_page.open()
        except BaseException:
            self.close()
            raise
        for listener in self._config_listeners():
            config.add_listener(listener)

    def _origins(self) -> Sequence[object]:
        return (*self.config.get_tuple("python-commands"), *self._extension_origins)

    def _show_extensions(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._extension_rows = rows
        self._commands.set_extensions(rows)
        if self._loop is not None:
            # Modules are loaded again by another thread, and users belong to the loop's.
            self._loop.call_soon_threadsafe(self._access.learn, rows)

    def _rename_commands(self, engine: native.Server) -> dict[bytes, bytes | None]:
        renames = configured_renames(self.config, self._read_rows)
        if renames:
            engine.rename_commands([(name, command.decode() if command else None) for name, command in renames.items()])
        return renames

    def begin(self) -> None:
        """Serve clients from now on, where nothing keeps them from it that `serve` has to do first.

        What they ask of the control plane waits until it is there.
        """
        config = self.config
        waits = config.get_bool("appendonly") or config.get_tuple("replicaof") or self._origins()
        if self.node.start_load is None and not waits:
            try:
                self._prepare()
                self._start_load = None
                self.node.engine.set_loading(False)
                self._start_data_plane()
            except BaseException:
                self.close()
                raise

    def _prepare(self) -> None:
        """Make what the data plane's threads may ask for."""
        self._provided = self._services()
        self._control = ControlLoop(self.node, self._provided, self._log_sink)
        self._script_calls = ScriptCalls(self.node.engine, self._control.request)
        # Libraries of functions are run to be loaded.
        MAKER.start(self.config.get_str("lua-library"))

    async def serve(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Load what is there, serve until `request_stop`, then stop everything; in the thread that runs the loop.

        Calls `on_ready` when the data are loaded. DataLoadError if they cannot be: everything is stopped then as well.
        """
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._has_loop.set()
        if self._stop_asked:  # before there was a loop
            self._stop.set()
        watches: list[asyncio.Task[None]] = []
        if self._begun:
            native.set_time_slice(_CONTROL_SLICE_MICROSECONDS)
        else:
            self._prepare()
        self._control.start()
        try:
            if not self._begun:
                await self._load_data()
            if not self._stop.is_set():
                watches = self._begin_work()
                on_ready()
            await self._stop.wait()
        finally:
            self.node.ready, self.node.stopping = False, True
            for watch in watches:
                watch.cancel()
            await self._follower.stop()
            self._script_calls.stop()
            self._extensions.stop_jobs()
            await self._control.stop()
            self._append.conclude()
            # On the loop, which has nothing else to do any more. Its executor may be gone: an interpreter that ends
            # closes executors before it tells anybody.
            self.close()
            MAKER.stop()
            self._control.move_logs()
            self._loop, self._stop = None, None
            # They know how to stop this.
            del self._provided, self._control, self._script_calls

    def _begin_work(self) -> list[asyncio.Task[None]]:
        """What begins when the data are there; returns what is to be cancelled at the end."""
        threads = self.config.get_int("python-command-threads") or default_threads(self.config.get_int("shards"))
        self._extensions.start(threads)
        self.node.ready = True
        watchers = (self._saver, self._append, self._primary, self._renewals)
        return [asyncio.create_task(watcher.watch()) for watcher in watchers]

    # ---- the data at the start

    def _find_data(self) -> None:
        self._appends_from_start = self.config.get_bool("appendonly")
        if self._load or self._appends_from_start:
            self._start_load = LoadAtStart(self.node, self._append.directory)
            if self._start_load.has_data:
                self.node.start_load = StartLoad(self._start_load.total_bytes)

    async def _load_data(self) -> None:
        """Start the data plane, and have it load what there is.

        Clients of a server with little to load wait until it is there, as they do in Redis. With more, they are
        answered LOADING, or what needs no data.
        """
        engine, load = self.node.engine, self.node.start_load
        answers = load is not None and load.total_bytes > self.config.get_int("loading-process-events-interval-bytes")
        engine.set_loading(answers)
        loading = None
        if load is not None:
            assert self._start_load is not None
            loading = begin_in_thread(self._start_load.run)
        if answers:
            self._start_data_plane()
        if loading is not None and not await self._await_load(loading):
            return
        self._follow_configured()
        self._begin_to_append()
        self._start_load = self.node.start_load = None
        engine.set_loading(False)
        if not answers:
            self._start_data_plane()

    def _start_data_plane(self) -> None:
        self._may_serve = True
        with native_threads():
            self.node.engine.start()
        self._script_calls.start()
        self._begun = True
        if self._loop is not None:
            # For this thread, and after the others were started, which would inherit it.
            native.set_time_slice(_CONTROL_SLICE_MICROSECONDS)

    async def _await_load(self, loading: asyncio.Future[None]) -> bool:
        """Wait for the data, and tell now and then how far it is; False if the server is to end before that."""
        assert self._stop is not None
        stopping = asyncio.ensure_future(self._stop.wait())
        awaited: set[asyncio.Future[Any]] = {loading, stopping}
        try:
            while not stopping.done():
                done, _ = await asyncio.wait(awaited, timeout=_LOAD_TOLD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if loading in done:
                    loading.result()
                    return not self.node.stopping
                state = load_state(self.node)
                if state is not None and not done:
                    _log.info("loading", percent=round(state.percent, 1), bytes=state.loaded_bytes, keys=state.keys,
                              left_seconds=state.left_seconds)  # fmt: skip
        finally:
            stopping.cancel()
        self.node.engine.break_off_load()
        await asyncio.wait({loading}, timeout=_LOAD_END_SECONDS_MAX)
        return False

    def _begin_to_append(self) -> None:
        """Append what is written from now on, if the configuration says so by now."""
        if not self.config.get_bool("appendonly"):
            return
        if not self._appends_from_start:
            # It was not loaded, so what is there is of no use.
            self._append.switch(on=True)
            return
        try:
            self._append.begin_at_start()
        except OSError as error:
            where = error.filename or self.config.get_str("appenddirname")
            raise ConfigError(f"cannot append to {where}: {error.strerror or error}") from error

    def save_at_end(self, how: Collection[str] = ()) -> bool:
        """Take the last snapshot if the configuration asks for any; False if that failed. Not in the loop's thread.

        `how` has words of SHUTDOWN: save or nosave, now not to wait for replicas, force to end although saving failed.
        """
        if self._may_serve:
            # Clients are served before there is a loop, and what they have written is to be saved as well.
            self._has_loop.wait(_LOOP_SECONDS_MAX)
        loop = self._loop
        if loop is None or load_state(self.node) is not None:
            # Nothing is there yet, or a part of the data, which must not take the place of the file that has all.
            return True
        self._append.cancel()
        replication = self.node.replication
        saves = "save" in how or (self._saver.has_save_points and "nosave" not in how)
        waits = replication.primary is None and bool(replication.rows()) and "now" not in how
        if not (saves or waits):
            # Without the loop, which may be waiting for a command.
            self.node.engine.sync_append()
            return True
        seconds = None if saves else self.config.get_int("shutdown-timeout") + _END_SLACK_SECONDS
        try:
            asyncio.run_coroutine_threadsafe(self._end_work(saves=saves, waits=waits), loop).result(seconds)
        except TimeoutError:
            _log.warning("the server ends before its replicas have everything")
        except EndCalledOffError:
            _log.warning("the server does not end: that was called off")
            return False
        except (SaveError, RuntimeError, CancelledError) as error:
            _log.error("the last snapshot failed", reason=str(error))
            return "force" in how
        return True

    async def _end_work(self, *, saves: bool, waits: bool) -> None:
        """What is done before the end, so that nothing is lost and replicas can go on; SaveError if that fails."""
        if waits:
            await self._primary.let_catch_up()
        await in_thread(self.node.engine.sync_append)
        try:
            if saves:
                await self._end_writes()
                await self._saver.save()
        except SaveError:
            self._go_on()
            raise

    async def _end_writes(self) -> None:
        """Have nothing written that the last snapshot does not have: nobody is told that it is, nor is a primary."""
        self._primary.hold_writers()
        replication = self.node.replication
        # What is half loaded is not saved, but stopped half way it would be.
        if replication.primary is not None and not replication.is_syncing:
            await self._follower.stop()

    def _go_on(self) -> None:
        """The server does not end after all."""
        self._primary.go_on()
        self._follower.go_on()

    def request_stop(self) -> None:
        """End `serve` soon; from any thread, any number of times."""
        first, self._stop_asked = not self._stop_asked, True
        if first and self._on_stop_asked is not None:
            self._on_stop_asked()
        if self._node is not None:
            self._node.stopping = True
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(stop.set)

    def close(self) -> None:
        """Stop the engine's threads and close every socket; idempotent.

        A command that takes longer than the bound cannot be broken off. Its threads, and the data, then go when it has
        ended; what is left is told.
        """
        for listener in self._config_listeners():
            self.config.remove_listener(listener)
        self._metrics_page.close()
        ended = self.node.engine.stop(int(STOP_SECONDS_MAX * 1000))
        self._append.directory.release()
        self._extensions.join()
        self.remove_files()
        if not ended:
            self.tell_what_is_cut()

    def tell_what_is_cut(self) -> None:
        """Log what still runs although the server ends."""
        if self._node is None:
            return
        shards = " ".join(map(str, self.node.engine.busy_shards()))
        _log.warning("the server ends before its commands do", shards=shards)

    def remove_files(self) -> None:
        """Remove the sockets' files."""
        if self._node is not None:
            self._listeners.remove_files()

    def _services(self) -> Services:
        engine = self.node.engine
        return Services(
            self.config,
            self.node,
            DataPlane(native.command_table, native.key_positions, engine.reset_stats, native.glob_filter),
            self._commands,
            Lifecycle(
                self.request_stop,
                engine.sync_append,
                lambda: load_state(self.node) is None,
                self._primary.let_catch_up,
                self._end_writes,
                self._go_on,
                self._primary.call_off,
            ),
            self._saver,
            self._append,
            self._follower,
            self._primary,
            self._failover,
            self._access,
            HotKeySessions(),
            self._extensions,
        )

    # ---- replication

    def _follow_configured(self) -> None:
        """Follow the primary that the configuration names, before anybody could write, and go on in the history that
        the data belong to."""
        primary, place = self.config.get_tuple("replicaof"), self.node.saves.loaded_place
        if place is not None:
            with native_threads():
                (self._follower if primary else self._primary).resume(place)
        if primary:
            host, port = primary
            self._follower.follow(host, int(port), self.config.source("replicaof"))

    async def _execute(self, words: Sequence[bytes]) -> bytes:
        """Run a control command that the primary has sent."""
        names = [word.decode("latin-1").lower() for word in words[:2]]
        name = "|".join(names) if "|".join(names) in registered_commands() else names[0]
        return await dispatch(name, Request(token=0, client_id=0, args=list(words), services=self._provided))

    # ---- configuration

    def _push_settings(self, settings: dict[str, int]) -> None:
        if settings:
            self.node.engine.set_settings(settings)

    def _config_listeners(self) -> Sequence[Callable[[frozenset[str]], None]]:
        """What is told of a change of the configuration. Those that may refuse it come first: of a change that is
        refused, nobody has seen anything."""
        return (
            self._change_tls,
            self._listeners.prepare,
            self._make_room_for_clients,
            self._metrics_page.apply_configuration,
            self._switch_append,
            self._apply_configuration,
        )

    def _apply_configuration(self, names: frozenset[str]) -> None:
        if "requirepass" in names:
            self._access.set_default_password()
        self._push_settings(native_settings(self.config, names))
        # Who comes by a new address needs the password that was set with it.
        self._listeners.commit()
        if "tls-auto-reload-interval" in names and self._loop is not None:
            self._renewals.apply_configuration()
        if names & _SAVE_PARAMETERS:
            self._saver.refuse_writes()
        if names & _REPLICATION_PARAMETERS:
            self._follower.apply_configuration()
            self._primary.apply_configuration()

    def _switch_append(self, names: frozenset[str]) -> None:
        # While data are being loaded it is looked at afterwards.
        if "appendonly" not in names or self._loop is None or self.node.start_load is not None:
            return
        try:
            self._append.switch(on=self.config.get_bool("appendonly"))
        except (SherdError, OSError) as error:
            _log.warning("nothing is appended", reason=str(error))
            raise ConfigApplyError("appendonly", str(error)) from error

    # ---- TLS

    def _change_tls(self, names: frozenset[str]) -> None:
        """Serve new connections with other certificates; those that there are go on with what they began with."""
        if not names & set(TLS_PARAMETERS):
            return
        try:
            set_up_tls(self.node.engine, self.config)
        except ConfigError as error:
            _log.warning("the TLS configuration stays as it was", reason=str(error))
            changed = next(name for name in TLS_PARAMETERS if name in names)
            raise ConfigApplyError(changed, str(error)) from error
        if uses_tls(self.config):
            _log.info("TLS configuration", certificate=self.config.get_str("tls-cert-file"))

    def _renew_certificates(self) -> None:
        # What is no good is told in the log, and everything stays as it was.
        with contextlib.suppress(ConfigApplyError):
            self._change_tls(frozenset(CERTIFICATE_FILES))
            self._metrics_page.apply_configuration(frozenset(CERTIFICATE_FILES))

    def _make_room_for_clients(self, names: frozenset[str]) -> None:
        if "maxclients" not in names:
            return
        wanted = self.config.get_int("maxclients")
        room = raise_descriptor_limit(wanted, self.config.get_int("io-threads"))
        if room < wanted:
            raise ConfigApplyError(
                "maxclients",
                f"The operating system is not able to handle the specified number of clients, try with {room}",
            )
