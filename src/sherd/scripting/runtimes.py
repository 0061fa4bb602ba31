"""Making runtimes for the data plane's threads.

A thread that runs its first script asks for a runtime and waits; a thread of Python's own waits for that natively,
without the interpreter's lock, so that it costs nothing until then. lupa is imported with the first demand. What it
makes holds no Python object (`register_builtins=False`), for nothing in it may need the lock later, and is bounded in
memory. Its state's address comes by a native function that Lua itself loads; from then on the runtime belongs to the
data plane, for good.
"""

from __future__ import annotations

import threading

from sherd import native
from sherd.log import get_logger

_log = get_logger()

# What one thread's scripts may take together. Redis knows no limit but the machine's; an error is better than that.
_MEMORY_BYTES_MAX = 1 << 30

# `package` is there only for this: the data plane's sandbox leaves nothing of it to scripts.
_TELL_STATE = "local path = ...; return package.loadlib(path, 'sherd_lua_state')()"


class _Maker:
    """The thread that makes runtimes: there while any server of the process runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """A server begins."""
        with self._lock:
            self._servers += 1
            if self._thread is None:
                native.announce_runtime_maker()
                self._thread = threading.Thread(target=_make_runtimes, name="sherd-runtimes", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """A server has ended; with the last one the thread does."""
        with self._lock:
            self._servers -= 1
            if self._servers == 0 and self._thread is not None:
                native.dismiss_runtime_maker()
                self._thread.join()
                self._thread = None


MAKER = _Maker()


def _make_runtimes() -> None:
    try:
        while count := native.wait_for_runtime_demand():
            for _ in range(count):
                _make_runtime()
    except Exception as error:  # noqa: BLE001 -- whatever it is, those who wait are told
        _log.warning("scripts cannot be run", reason=str(error))
        native.fail_runtimes(str(error))


def _make_runtime() -> None:
    from lupa import lua51

    native.load_lua(lua51.__file__)
    runtime = lua51.LuaRuntime(
        register_builtins=False, register_eval=False, unpack_returned_tuples=False, max_memory=_MEMORY_BYTES_MAX
    )
    address = runtime.execute(_TELL_STATE, native.module_path())
    native.add_runtime(runtime, int(address))
