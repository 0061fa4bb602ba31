"""The handshake with a primary: who this is, and from where on it wants the stream.

Replies are read byte by byte: what follows the last one is a snapshot or the stream, and belongs to the data plane.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sherd.errors import SherdError
from sherd.record import record
from sherd.replies import ProtocolError, ReplyError, new_reader
from sherd.resp import encode
from sherd.wire import Wire

# A reply of the handshake is short.
_REPLY_BYTES_MAX = 4096
_ID_LENGTH = 40
# What a server answers that asks for a password, as it does today and as it once did.
_WANTS_PASSWORD = ("NOAUTH", "NOPERM", "ERR operation not")


class HandshakeError(SherdError):
    """The primary cannot be followed now; the text says why."""


@record
class Introduction:
    """What a primary is told. credentials: the arguments of AUTH, if there are any. port, address: where this server
    can be reached, "" for the address that the primary sees. id, offset: where the stream is to go on, "" and -1 for
    a whole snapshot. hands_over: the other one, which follows this server, is to become the primary."""

    credentials: tuple[str, ...]
    port: int
    address: str
    id: str
    offset: int
    hands_over: bool = False


@record
class Admission:
    """What a primary is going to send: a snapshot at `offset` of the history `id`, or, without `full`, the rest of the
    stream, which belongs to `id` from now on."""

    full: bool
    id: str
    offset: int


async def introduce(wire: Wire, introduction: Introduction, timeout_seconds: float) -> Admission:
    """Shake hands; HandshakeError if the primary does not want to be followed, OSError if it goes away."""
    async with asyncio.timeout(timeout_seconds):
        return await _Talk(wire).introduce(introduction)


class _Talk:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def introduce(self, introduction: Introduction) -> Admission:
        reply = await self._ask("PING")
        # A password may be asked for, which is told next.
        if isinstance(reply, ReplyError) and not str(reply).startswith(_WANTS_PASSWORD):
            raise HandshakeError(f"PING was answered: {reply}")
        if introduction.credentials:
            reply = await self._ask("AUTH", *introduction.credentials)
            if isinstance(reply, ReplyError):
                raise HandshakeError(f"AUTH was answered: {reply}")
        # A primary that knows none of these is one that needs none of them.
        await self._ask("REPLCONF", "listening-port", str(introduction.port))
        if introduction.address:
            await self._ask("REPLCONF", "ip-address", introduction.address)
        await self._ask("REPLCONF", "capa", "eof", "capa", "psync2")
        offset = introduction.offset + 1 if introduction.id else -1
        handing_over = ("FAILOVER",) if introduction.hands_over else ()
        reply = await self._ask("PSYNC", introduction.id or "?", str(offset), *handing_over)
        if isinstance(reply, ReplyError):
            raise HandshakeError(f"PSYNC was answered: {reply}")
        return parse_admission(reply, introduction)

    async def _ask(self, *words: str) -> Any:
        await self._wire.send(encode(list(words), 2))
        return await self._read()

    async def _read(self) -> Any:
        reader = new_reader()
        begun = False
        for _ in range(_REPLY_BYTES_MAX):
            byte = await self._wire.receive(1)
            if not byte:
                raise HandshakeError("the primary has closed the connection")
            # Empty lines say that it is still there.
            begun = begun or byte != b"\n"
            if not begun:
                continue
            reader.feed(byte)
            try:
                reply = reader.gets()
            except ProtocolError as error:
                raise HandshakeError(f"the primary does not speak the protocol: {error}") from error
            if reply is not False:
                return reply
        raise HandshakeError("a reply of the primary has no end")


def parse_admission(reply: Any, introduction: Introduction) -> Admission:
    """The answer to PSYNC."""
    words = reply.split() if isinstance(reply, bytes) else []
    match words:
        case [b"FULLRESYNC", history, offset] if _is_id(history) and offset.isdigit() and len(offset) < 20:
            return Admission(full=True, id=history.decode(), offset=int(offset))
        case [b"CONTINUE"] if introduction.id:
            return Admission(full=False, id=introduction.id, offset=introduction.offset)
        case [b"CONTINUE", history] if introduction.id and _is_id(history):
            return Admission(full=False, id=history.decode(), offset=introduction.offset)
    raise HandshakeError(f"PSYNC was answered: {reply!r}")


def _is_id(word: bytes) -> bool:
    return len(word) == _ID_LENGTH and word.isalnum()
