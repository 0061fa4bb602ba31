"""MIGRATE: keys move to another server by DUMP here and RESTORE there.

The keys are read at one moment, while the shards that have them are held, and sent over a connection of its own by the
control plane; the data plane goes on meanwhile, for the same shards too. Afterwards, again at one moment, those keys
that the target has acknowledged are removed, unless somebody has changed them since: those are read and sent once more,
with REPLACE, up to a bound. So nothing that a client wrote is lost, and no client waits for the network; what differs
from a server that stands still meanwhile is that a key can be seen on both sides for a moment. Where this server has
become a replica meanwhile, or hands over to one, the keys stay, and the client is answered as one that writes. With
`tls-cluster` it is sent over TLS, whose handshake is a part of connecting.

Rejected: keeping the shards while the keys travel (others would wait for a slow target), and a cache of connections (a
descriptor that outlives its command, for one round trip less).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from sherd.errors import SYNTAX_ERROR, CommandError
from sherd.families.numbers import read_integer
from sherd.log import get_logger
from sherd.observability.node import Listener, Node
from sherd.record import field, record
from sherd.replies import ProtocolError, ReplyError, new_reader
from sherd.resp import OK, Reply, Simple, encode
from sherd.spec import KeySpec, Request, Secret, command
from sherd.threads import in_thread
from sherd.wire import Wire, connect, open_wire

_log = get_logger()

TIMEOUT_MS_DEFAULT = 1000
# One batch of keys is written before its replies are read, so that neither side waits with full buffers.
BATCH_KEYS_MAX = 64
BATCH_BYTES_MAX = 1 << 20
READ_BYTES = 1 << 16
# Times that keys are sent which somebody keeps changing.
SENDINGS_MAX = 8

NOT_CONNECTED = "IOERR error or timeout connecting to the client"
NOT_WRITTEN = "IOERR error or timeout writing to target instance"
NOT_READ = "IOERR error or timeout reading to target instance"
KEPT_CHANGING = "ERR a key was changed each time it was sent, it is still here"
KEY_BESIDE_KEYS = "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"

_KEY_FLAGS = ("RW", "access", "delete")


@record(frozen=False)
class Migration:
    """What a client asks for. credentials: the arguments of AUTH, if there are any."""

    host: str
    port: int
    database: int
    timeout_seconds: float
    keys: list[bytes]
    copy: bool = False
    replace: bool = False
    credentials: list[bytes] = field(default_factory=list)


@record
class Item:
    """A key with its payload, and when it expires (milliseconds since the epoch, -1 for never)."""

    key: bytes
    payload: bytes
    expires_at_ms: int

    def restore(self, name: bytes, *, replace: bool) -> bytes:
        """The command that creates it."""
        ttl_ms = 0 if self.expires_at_ms < 0 else max(1, self.expires_at_ms - _now_ms())
        words: list[Reply] = [name, self.key, str(ttl_ms), self.payload]
        return encode([*words, "REPLACE"] if replace else words, 2)


@record(frozen=False)
class Sending:
    """What came of sending keys: those that are there now, and the first thing that went wrong."""

    arrived: list[Item] = field(default_factory=list)
    failure: str = ""


@command(
    "migrate",
    arity=-6,
    flags="write movablekeys",
    acl="keyspace dangerous",
    group="generic",
    since="2.6.0",
    summary="Moves keys to another server.",
    complexity="O(N) to write and read N bytes of values here and there, and once more for keys that change meanwhile",
    key_specs=(
        KeySpec(("index", 3), ("range", 0, 1, 0), _KEY_FLAGS),
        KeySpec(("keyword", "KEYS", -2), ("range", -1, 1, 0), (*_KEY_FLAGS, "incomplete")),
    ),
    syntax='host port <key | ""> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] '
    "[KEYS key [key ...]]",
    history=(
        ("3.0.0", "`COPY` and `REPLACE`."),
        ("3.0.6", "`KEYS`."),
        ("4.0.7", "`AUTH`."),
        ("6.0.0", "`AUTH2`."),
    ),
    tips=("nondeterministic_output",),
    secrets=(Secret("AUTH", start=6), Secret("AUTH2", start=6, count=2)),
)
async def migrate(request: Request) -> Reply:
    """OK, or NOKEY if none of the keys is there."""
    migration = parse(request.args)
    node = request.services.get(Node)
    items = await _read(node, migration.keys, request.db)
    if not items:
        return Simple("NOKEY")
    async with _connected(node, migration) as target:
        await target.begin(migration)
        if target.is_one_of(node.listeners) and migration.database == request.db and not migration.copy:
            # Redis would wait for itself until the time is over; here the key would be removed as sent.
            raise CommandError(NOT_READ)
        name = b"RESTORE-ASKING" if node.cluster_enabled else b"RESTORE"
        replace = migration.replace
        for _ in range(SENDINGS_MAX):
            sending = await target.send(items, name, replace=replace)
            changed = [] if migration.copy else await _delete(node, sending.arrived, request.db)
            if sending.failure:
                raise CommandError(sending.failure)
            items = await _read(node, changed, request.db)
            if not items:
                return OK
            replace = True
    raise CommandError(KEPT_CHANGING)


async def _read(node: Node, keys: Sequence[bytes], database: int) -> list[Item]:
    if not keys:
        return []
    found = await in_thread(node.engine.dump_keys, list(keys), database)
    items = [Item(key, *payload) for key, payload in zip(keys, found, strict=True) if payload is not None]
    return [item for item in items if item.expires_at_ms < 0 or item.expires_at_ms > _now_ms()]


async def _delete(node: Node, items: Sequence[Item], database: int) -> list[bytes]:
    """Remove what has arrived; gives the keys that are others by now."""
    sent = [(item.key, item.payload, item.expires_at_ms) for item in items]
    try:
        gone = await in_thread(node.engine.delete_unchanged, sent, database) if sent else []
    except PermissionError as error:
        raise CommandError(str(error)) from None
    return [item.key for item, is_gone in zip(items, gone, strict=True) if not is_gone]


def parse(args: Sequence[bytes]) -> Migration:
    """The migration that a command line asks for."""
    host, port, key = args[1].decode("utf-8", "surrogateescape"), _leading_number(args[2]), args[3]
    migration = Migration(host, port, 0, 0.0, [key])
    options = iter(enumerate(args[6:], 6))
    for at, word in options:
        match word.upper():
            case b"COPY":
                migration.copy = True
            case b"REPLACE":
                migration.replace = True
            case b"AUTH":
                migration.credentials = [_value(options)]
            case b"AUTH2":
                migration.credentials = [_value(options), _value(options)]
            case b"KEYS":
                if key:
                    raise CommandError(KEY_BESIDE_KEYS)
                migration.keys = list(args[at + 1 :])
                break
            case _:
                raise CommandError(SYNTAX_ERROR)
    timeout_ms = read_integer(args[5])
    migration.database = read_integer(args[4])
    migration.timeout_seconds = (timeout_ms if timeout_ms > 0 else TIMEOUT_MS_DEFAULT) / 1000
    return migration


def _value(options: Iterator[tuple[int, bytes]]) -> bytes:
    following = next(options, None)
    if following is None:
        raise CommandError(SYNTAX_ERROR)
    return following[1]


def _leading_number(word: bytes) -> int:
    """As C's atoi reads it, within what a port can be; 0 is a port that nobody listens on."""
    digits = word[: len(word) - len(word.lstrip(b"0123456789"))]
    port = int(digits[:9]) if digits else 0
    return port if port < 1 << 16 else 0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Target:
    """A connection to the other server. Every step may take as long as the client's timeout says."""

    def __init__(self, wire: Wire, timeout_seconds: float) -> None:
        self._wire = wire
        self._timeout_seconds = timeout_seconds
        self._replies = new_reader()

    async def begin(self, migration: Migration) -> None:
        """Authenticate and select the database."""
        commands = [encode(["AUTH", *migration.credentials], 2)] if migration.credentials else []
        commands.append(encode(["SELECT", str(migration.database)], 2))
        await self._write(b"".join(commands))
        for _ in commands:
            reply = await self._read()
            if isinstance(reply, ReplyError):
                raise CommandError(_refused(reply))

    def is_one_of(self, listeners: Sequence[Listener]) -> bool:
        """Whether this server, which listens there, is on the other end."""
        other, own = self._wire.ends()
        return own[0] == other[0] and any(other[1] == listener.port for listener in listeners if listener.has_port)

    async def send(self, items: Sequence[Item], name: bytes, *, replace: bool) -> Sending:
        """Create keys there, a batch at a time; what one of them is refused for does not keep the others."""
        sending = Sending()
        try:
            for batch in _batches(items):
                await self._write(b"".join(item.restore(name, replace=replace) for item in batch))
                for item in batch:
                    reply = await self._read()
                    if isinstance(reply, ReplyError):
                        sending.failure = sending.failure or _refused(reply)
                    else:
                        sending.arrived.append(item)
        except CommandError as error:
            sending.failure = str(error)
        return sending

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._wire.send(data)
        except (OSError, TimeoutError):
            raise CommandError(NOT_WRITTEN) from None

    async def _read(self) -> Any:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                while (reply := self._replies.gets()) is False:
                    data = await self._wire.receive(READ_BYTES)
                    if not data:
                        raise CommandError(NOT_READ)
                    self._replies.feed(data)
        except (OSError, TimeoutError, ProtocolError):
            raise CommandError(NOT_READ) from None
        return reply


@contextlib.asynccontextmanager
async def _connected(node: Node, migration: Migration) -> AsyncIterator[Target]:
    encrypted, seconds = node.config.get_bool("tls-cluster"), migration.timeout_seconds
    source = node.config.get_str("bind-source-addr")
    try:
        connection = await connect(migration.host, migration.port, seconds, source)
        wire = open_wire(node.engine, connection, migration.host, tls=encrypted)
    except (socket.gaierror, ValueError, TimeoutError):  # a name that no system could know is a ValueError
        raise CommandError(NOT_CONNECTED) from None
    except OSError:
        # What refuses is told as Redis tells it, which connects while it writes, but before it shakes hands.
        raise CommandError(NOT_CONNECTED if encrypted else NOT_WRITTEN) from None
    try:
        await _shake_hands(wire, migration)
        yield Target(wire, seconds)
    finally:
        wire.close()


async def _shake_hands(wire: Wire, migration: Migration) -> None:
    try:
        async with asyncio.timeout(migration.timeout_seconds):
            await wire.shake_hands()
    except OSError as error:
        target = f"{migration.host}:{migration.port}"
        _log.warning("no TLS with the target of MIGRATE", target=target, reason=str(error) or "it took too long")
        raise CommandError(NOT_CONNECTED) from None


def _batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size_bytes = 0
    for item in items:
        if batch and (len(batch) >= BATCH_KEYS_MAX or size_bytes + len(item.payload) > BATCH_BYTES_MAX):
            yield batch
            batch, size_bytes = [], 0
        batch.append(item)
        size_bytes += len(item.payload)
    if batch:
        yield batch


def _refused(error: Exception) -> str:
    return f"ERR Target instance replied with error: {error}"
