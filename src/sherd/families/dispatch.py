"""Runs the handler of a control command and encodes its reply.

A handler may be a function or a coroutine function. A client's mistake is raised as CommandError; any other exception
is a mistake of the server: the client gets a short error, the log gets the traceback, the server goes on.
"""

from __future__ import annotations

import inspect

import structlog

from sherd.errors import CommandError
from sherd.resp import Error, encode
from sherd.spec import Request, registered_commands

_log = structlog.get_logger()


async def dispatch(name: str, request: Request) -> bytes:
    """The encoded reply of the command `name` (`config|get`) to `request`; never raises for what a handler does."""
    entry = registered_commands().get(name)
    if entry is None or entry.handler is None:
        return encode(Error(f"ERR unknown command '{name}'"), request.resp)
    try:
        reply = entry.handler(request)
        if inspect.isawaitable(reply):
            reply = await reply
        return encode(reply, request.resp)
    except CommandError as error:
        return encode(Error(str(error)), request.resp)
    except Exception:  # noqa: BLE001 - a handler's mistake must not end the server
        _log.exception("control command failed", command=name, client_id=request.client_id)
        return encode(Error("ERR internal error, see the server's log"), request.resp)
