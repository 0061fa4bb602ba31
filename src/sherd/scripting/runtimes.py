"""Making runtimes for the data plane's threads.

A thread that runs its first script asks for a runtime and waits; a thread of Python's own waits for that natively,
without the interpreter's lock, so that it costs nothing until then. lupa is imported with the first demand. What it
makes holds no Python object (`register_builtins=False`), for nothing in it may need the lock later, and is bounded in
memory. Its state's address comes by a native function that Lua itself loads; from then on the runtime belongs to the
data plane, for good.

Scripts run in lupa's Lua because its extension module exports Lua's functions, as its wheels do. Where it does not, a
shared library of the system's with Lua 5.1 is used, in which the data plane makes runtimes by itself; so does a library
that the directive `lua-library` names. Which it is is found out with the first script, as Lua takes memory that most
servers need for something else; but a server that has no lupa, or is to use another library, says at its start what it
lacks.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import threading
from importlib.machinery import PathFinder

from sherd import native
from sherd.log import get_logger
from sherd.threads import start_thread

_log = get_logger()

# What one thread's scripts may take together. Redis knows no limit but the machine's; an error is better than that.
_MEMORY_BYTES_MAX = 1 << 30

# `package` is there only for this: the data plane's sandbox leaves nothing of it to scripts.
_TELL_STATE = "local path = ...; return package.loadlib(path, 'sherd_lua_state')()"

_LUPA_MODULE = "lupa.lua51"
# As Debian, Fedora and others call it.
_SYSTEM_LIBRARIES = ("liblua5.1.so.0", "liblua-5.1.so", "liblua5.1.so")


class _Maker:
    """The thread that makes runtimes: there while any server of the process runs."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Nothing has begun in this process: a child that was forked has none of its parent's threads and servers."""
        self._lock = threading.Lock()
        self._servers = 0
        self._thread: threading.Thread | None = None

    def start(self, library: str = "") -> None:
        """A server begins; the first one of the process says which library of Lua is used."""
        with self._lock:
            if self._thread is None:
                native.announce_runtime_maker()
                self._thread = start_thread(lambda: _make_runtimes(library), "sherd-runtimes")
            self._servers += 1

    def stop(self) -> None:
        """A server has ended; with the last one the thread does."""
        with self._lock:
            self._servers -= 1
            if self._servers == 0 and self._thread is not None:
                native.dismiss_runtime_maker()
                self._thread.join()
                self._thread = None


MAKER = _Maker()
os.register_at_fork(after_in_child=MAKER.begin_anew)


def _make_runtimes(library: str) -> None:
    try:
        if library or not _has_lupa():
            _find_lua(library)
        while count := native.wait_for_runtime_demand():
            is_lupa = _find_lua(library)
            for _ in range(count):
                _make_runtime(is_lupa)
    except Exception as error:  # noqa: BLE001 -- whatever it is, those who wait are told
        _log.warning("scripts cannot be run", reason=str(error))
        native.fail_runtimes(str(error))


@functools.cache
def _find_lua(library: str) -> bool:
    """Find Lua's functions; whether they are those of lupa, whose runtimes lupa makes."""
    if library:
        native.load_lua(library)
        return False
    try:
        native.load_lua(_lupa_module())
    except (ImportError, RuntimeError) as error:
        found = _find_in_system()
        if found is None:
            raise
        _log.warning("lupa does not show its Lua, so scripts run in the system's", reason=str(error), library=found)
        return False
    return True


def _has_lupa() -> bool:
    try:
        _lupa_module()
    except ImportError:
        return False
    return True


def _lupa_module() -> str:
    # Only looked for, and by the file: to look for it by its name would import what it belongs to.
    package = importlib.util.find_spec(_LUPA_MODULE.partition(".")[0])
    places = package.submodule_search_locations if package is not None else None
    found = PathFinder.find_spec(_LUPA_MODULE, places) if places is not None else None
    if found is None or found.origin is None:
        raise ImportError(f"there is no {_LUPA_MODULE}")
    return found.origin


def _find_in_system() -> str | None:
    for name in _SYSTEM_LIBRARIES:
        try:
            native.load_lua(name)
        except RuntimeError:
            continue
        return name
    return None


def _make_runtime(is_lupa: bool) -> None:
    if not is_lupa:
        native.make_runtime(_MEMORY_BYTES_MAX)
        return
    from lupa import lua51

    runtime = lua51.LuaRuntime(
        register_builtins=False, register_eval=False, unpack_returned_tuples=False, max_memory=_MEMORY_BYTES_MAX
    )
    address = runtime.execute(_TELL_STATE, native.module_path())
    native.add_runtime(runtime, int(address), _MEMORY_BYTES_MAX)
