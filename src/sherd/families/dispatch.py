"""Runs the handler of a control command and encodes its reply.

A handler may be a function or a coroutine function. A client's mistake is raised as CommandError; any other exception
is a mistake of the server: the client gets a short error, the log gets the traceback, the server goes on. So it is with
a panic of the data plane, which is no `Exception`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from sherd.errors import CommandError, ThreadError
from sherd.log import get_logger
from sherd.resp import Error, Reply, encode
from sherd.spec import Request, registered_commands

_log = get_logger()

# `inspect.CO_COROUTINE`, what the code of a coroutine function says of itself, without a module that is slow to load.
_COROUTINE = 0x80


def begin(name: str, request: Request) -> bytes | Coroutine[Any, Any, bytes]:
    """The encoded reply of the command `name` (`config|get`) to `request`, or what gives it where the handler waits.

    Never raises for what a handler does. Most handlers wait for nothing; their clients need not wait for a task either.
    """
    entry = registered_commands().get(name)
    if entry is None or entry.handler is None:
        return encode(Error(f"ERR unknown command '{name}'"), request.resp)
    try:
        reply = entry.handler(request)
        if isinstance(reply, Awaitable):
            return _finish(reply, name, request)
        return encode(reply, request.resp)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - neither a handler's mistake nor a panic below ends the server
        return _failure(error, name, request)


def waits(name: str, args: Callable[[], Sequence[bytes]] | None = None) -> bool:
    """Whether the handler of a command is one that may wait; with these arguments, which are read where they count."""
    entry = registered_commands().get(name)
    if entry is not None and entry.spec.waits is not None:
        return args is None or entry.spec.waits(args())
    code = getattr(entry.handler, "__code__", None) if entry is not None else None
    return code is not None and bool(code.co_flags & _COROUTINE)


def blocks(name: str) -> bool:
    """Whether a command waits for as long as its client likes, so that its wait may be interrupted."""
    entry = registered_commands().get(name)
    return entry is not None and "blocking" in entry.spec.flags


def asks_for_shards(name: str) -> bool:
    """Whether a command's handler takes shards of the data plane, for which it may have to wait."""
    entry = registered_commands().get(name)
    return entry is not None and entry.spec.shards


def may_run_in_scripts(name: str) -> bool:
    """Whether a script may have the command answered: its handler takes no shards, and waits for clients' sake only."""
    entry = registered_commands().get(name)
    if entry is None or entry.spec.shards:
        return False
    return not waits(name) or "blocking" in entry.spec.flags


def reads(name: str) -> str:
    """What the reply of a command depends on; see `CommandSpec`."""
    entry = registered_commands().get(name)
    return entry.spec.reads if entry is not None else "nothing"


async def dispatch(name: str, request: Request) -> bytes:
    """The encoded reply, however long it takes."""
    reply = begin(name, request)
    return reply if isinstance(reply, bytes) else await reply


async def _finish(reply: Awaitable[Reply], name: str, request: Request) -> bytes:
    try:
        return encode(await reply, request.resp)
    except (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:  # noqa: BLE001 - as above
        return _failure(error, name, request)


def _failure(error: BaseException, name: str, request: Request) -> bytes:
    if isinstance(error, CommandError):
        return encode(Error(str(error)), request.resp)
    if isinstance(error, ThreadError):
        _log.warning("control command refused", command=name, client_id=request.client_id, reason=str(error))
        return encode(Error(f"ERR {error}"), request.resp)
    _log.error("control command failed", command=name, client_id=request.client_id, exc_info=error)
    return encode(Error("ERR internal error, see the server's log"), request.resp)
