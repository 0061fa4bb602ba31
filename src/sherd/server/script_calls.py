"""Answers the control commands that scripts call: INFO, COMMAND, SLOWLOG and the like.

A script holds shards while it waits for the answer, so the loop's thread, which may wait for shards, is not asked. A
thread of its own waits natively, without the interpreter's lock, and runs handlers that take no shards and do not wait.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from sherd.families.dispatch import begin, may_run_in_scripts
from sherd.log import get_logger
from sherd.resp import Error, encode
from sherd.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from sherd import native
    from sherd.spec import Request

_log = get_logger()

# Of a handler that waits all the same. The script holds shards meanwhile.
_WAIT_SECONDS_MAX = 0.5


class ScriptCalls:
    """The thread that answers the scripts of one server."""

    def __init__(self, engine: native.Server, make_request: Callable[[native.Request], Request]) -> None:
        self._engine = engine
        self._make_request = make_request
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._engine.serve_scripts(True)
        self._thread = start_thread(self._answer_all, "sherd-script-calls")

    def stop(self) -> None:
        """Answer nobody any longer."""
        self._engine.serve_scripts(False)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _answer_all(self) -> None:
        while (request := self._engine.next_script_request()) is not None:
            try:
                self._engine.reply(request, self._answer(request))
            except Exception:  # noqa: BLE001 - the next script is to be answered all the same
                _log.exception("a script could not be answered", command=request.command)

    def _answer(self, native_request: native.Request) -> bytes:
        if not may_run_in_scripts(native_request.command):
            name = native_request.command.replace("|", " ").upper()
            text = f"ERR {name} waits for keys that a script may hold: it cannot be called from one"
            return encode(Error(text), native_request.resp)
        request = self._make_request(native_request)
        # As in a transaction nobody can wait: WAIT answers how far replicas have come.
        request.in_multi = True
        reply = begin(native_request.command, request)
        if isinstance(reply, bytes):
            return reply
        try:
            return asyncio.run(asyncio.wait_for(reply, _WAIT_SECONDS_MAX))
        except TimeoutError:
            return encode(Error("ERR a script cannot wait for that"), native_request.resp)
