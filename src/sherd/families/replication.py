"""REPLICAOF, ROLE, REPLCONF, PSYNC, SYNC, WAIT, FAILOVER: who follows whom."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from sherd.errors import SYNTAX_ERROR, CommandError
from sherd.families.interruption import refuse_interrupted
from sherd.families.numbers import read_integer, read_timeout_ms
from sherd.observability.node import Node
from sherd.replication import Contents, Failover, Follower, Primary
from sherd.resp import OK, Encoded, Reply, Simple
from sherd.spec import Request, command

_NO_REPLY = Encoded(b"")
_HOST_LENGTH_MAX = 255
_PORT_MAX = 65535
# From this one on Valkey has a form of its own for hashes whose fields expire.
_VALKEY_MAJOR_MIN = 9
_WAIT_ON_REPLICA = (
    "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured "
    "to be writable (which is not the default) writes to replicas are just local and are not propagated."
)


def _is_no_one(args: Sequence[bytes]) -> bool:
    # Then the link has to come to its end first.
    return [word.lower() for word in args[1:]] == [b"no", b"one"]


@command(
    "replicaof",
    arity=3,
    flags="admin noscript stale no_async_loading",
    group="server",
    since="5.0.0",
    summary="Makes the server follow a primary, or nobody.",
    complexity="O(1)",
    syntax="<host port | NO ONE>",
    waits=_is_no_one,
)
def replicaof(request: Request) -> Reply | Awaitable[Reply]:
    """Answers when the role has changed; the data follow later."""
    node, follower = request.services.get(Node), request.services.get(Follower)
    if request.services.get(Failover).is_running:
        raise CommandError("ERR REPLICAOF not allowed while failing over.")
    host = request.args[1].decode("utf-8", "surrogateescape")
    if node.cluster_enabled:
        raise CommandError("ERR REPLICAOF not allowed in cluster mode.")
    if _is_no_one(request.args):
        return _lead(follower)
    number = read_integer(request.args[2], "ERR Invalid master port")
    if not 0 <= number <= _PORT_MAX:
        raise CommandError("ERR Invalid master port")
    if node.replication.primary == (host, number):
        return Simple("OK Already connected to specified master")
    follower.follow(host, number, writes_on=request.in_multi)
    return OK


async def _lead(follower: Follower) -> Reply:
    await follower.lead()
    return OK


@command(
    "slaveof",
    arity=3,
    flags="admin noscript stale no_async_loading",
    group="server",
    since="1.0.0",
    summary="Makes the server follow a primary, or nobody.",
    complexity="O(1)",
    syntax="<host port | NO ONE>",
    deprecated=("5.0.0", "`REPLICAOF`"),
    waits=_is_no_one,
)
def slaveof(request: Request) -> Reply | Awaitable[Reply]:
    """The older name."""
    return replicaof(request)


@command(
    "role",
    arity=1,
    flags="noscript loading stale fast",
    acl="admin dangerous",
    group="server",
    since="2.8.12",
    summary="Returns whether the server is a primary or a replica, and of whom.",
    complexity="O(1)",
)
def role(request: Request) -> Reply:
    """A primary: its name in the protocol, the replication offset, the replicas. A replica: whom it follows, how the
    link is, and up to which offset it has come."""
    replication = request.services.get(Node).replication
    if replication.primary is None:
        rows = [row for row in replication.rows() if row.state == "online"]
        replicas: list[Reply] = [[row.host, str(row.port), str(row.acknowledged)] for row in rows]
        return ["master", replication.current_offset, replicas]
    host, port = replication.primary
    return ["slave", host, port, replication.phase, replication.current_offset if replication.is_up else -1]


@command(
    "replconf",
    arity=-1,
    flags="admin noscript loading stale allow_busy",
    group="server",
    since="3.0.0",
    summary="What the servers of a replication tell each other.",
    complexity="O(1)",
    system=True,
)
def replconf(request: Request) -> Reply:
    """OK, or nothing where no answer is expected."""
    words = request.args[1:]
    if len(words) % 2:
        raise CommandError(SYNTAX_ERROR)
    introduction = request.services.get(Primary).introduction(request.client_id)
    for name, value in zip(words[::2], words[1::2], strict=True):
        match name.lower():
            case b"listening-port":
                introduction.port = min(max(read_integer(value), 0), _PORT_MAX)
            case b"rdb-only":
                wanted = read_integer(value)
                if wanted not in (0, 1):
                    raise CommandError("ERR value is out of range, value must between 0 and 1")
                introduction.snapshot_only = wanted == 1
            case b"ip-address":
                if len(value) > _HOST_LENGTH_MAX:
                    reason = "REPLCONF ip-address provided by replica instance is too long"
                    raise CommandError(f"ERR {reason}: {len(value)} bytes")
                introduction.address = value.decode("latin-1")
            case b"capa":
                introduction.takes_mark = introduction.takes_mark or value.lower() == b"eof"
            case b"rdb-filter-only":
                introduction.contents = _contents(value)
            case b"version":
                introduction.is_valkey = _is_valkey(value)
            case b"ack" | b"getack":
                # Something that only a link of replication means.
                return _NO_REPLY
            case _:
                raise CommandError(f"ERR Unrecognized REPLCONF option: {name.decode('utf-8', 'surrogateescape')}")
    return OK


def _is_valkey(version: bytes) -> bool:
    """Whether a replica of this version wants what Valkey 9 has in its own form. Redis does not tell its version."""
    major = version.split(b".", 1)[0]
    return major.isdigit() and int(major) >= _VALKEY_MAJOR_MIN


def _contents(words: bytes) -> Contents:
    """What a snapshot is to have that is asked for with these words, and nothing else."""
    wanted = words.split()
    unknown = next((word for word in wanted if word.lower() != b"functions"), None)
    if unknown is not None:
        raise CommandError(f"ERR Unsupported rdb-filter-only option: {unknown.decode('utf-8', 'surrogateescape')}")
    return Contents(data=False, functions=bool(wanted))


@command(
    "psync",
    arity=-3,
    flags="admin noscript no_async_loading no_multi",
    group="server",
    since="2.8.0",
    summary="Makes the client a replica, from where it is in the stream if that is possible.",
    complexity="O(1), and O(N) in the number of keys where it needs a snapshot",
    syntax="replicationid offset",
)
async def psync(request: Request) -> Reply:
    """What is answered comes from the thread that feeds replicas, which has the connection from then on."""
    follower, primary = request.services.get(Follower), request.services.get(Primary)
    replication = request.services.get(Node).replication
    history, offset = request.args[1].decode("latin-1"), read_integer(request.args[2])
    if len(request.args) > 3 and request.args[3].upper() == b"FAILOVER":
        if replication.primary is None:
            raise CommandError("ERR PSYNC FAILOVER can't be sent to a master.")
        if history != replication.id:
            raise CommandError("ERR PSYNC FAILOVER replid must match my replid.")
        await follower.lead()
    await primary.admit(request.client_id, request.token, history, offset)
    return _NO_REPLY


@command(
    "sync",
    arity=1,
    flags="admin noscript no_async_loading no_multi",
    group="server",
    since="1.0.0",
    summary="Makes the client a replica, as PSYNC does, beginning with a snapshot.",
    complexity="O(N) in the number of keys",
)
async def sync(request: Request) -> Reply:
    """A snapshot, and the stream behind it."""
    await request.services.get(Primary).admit(request.client_id, request.token, None, -1)
    return _NO_REPLY


@command(
    "wait",
    arity=3,
    flags="blocking",
    acl="connection",
    group="generic",
    since="3.0.0",
    summary="Waits until replicas have what was written.",
    complexity="O(1)",
    syntax="numreplicas timeout",
    tips=("request_policy:all_shards", "response_policy:agg_min"),
)
async def wait(request: Request) -> Reply:
    """How many replicas have everything that was written before, when they are enough or the time is over."""
    count, timeout_ms = read_integer(request.args[1]), read_timeout_ms(request.args[2])
    if request.services.get(Node).replication.primary is not None:
        raise CommandError(_WAIT_ON_REPLICA)
    # Within a transaction nobody could wait.
    timeout_seconds = 0.0 if request.in_multi else timeout_ms / 1000 or None
    reached = await request.services.get(Primary).wait(count, timeout_seconds, interruption=request.interruption)
    refuse_interrupted(request)
    return reached


@command(
    "failover",
    arity=-1,
    flags="admin noscript stale",
    group="server",
    since="6.2.0",
    summary="Hands the primary's part over to a replica.",
    complexity="O(1)",
    syntax="[target:TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds:milliseconds]",
)
def failover(request: Request) -> Reply:
    """OK when it has begun; INFO tells how far it is."""
    node, coordinator = request.services.get(Node), request.services.get(Failover)
    if node.cluster_enabled:
        raise CommandError("ERR FAILOVER not allowed in cluster mode.")
    words = [word.decode("utf-8", "surrogateescape") for word in request.args[1:]]
    if [word.lower() for word in words] == ["abort"]:
        coordinator.abort()
        return OK
    target, timeout_ms, force = _parse_failover(words)
    coordinator.start(target, timeout_ms, force=force)
    return OK


def _parse_failover(words: list[str]) -> tuple[tuple[str, int] | None, int, bool]:
    """The target, the timeout in milliseconds (0 is none), and whether it is to be forced."""
    target: tuple[str, int] | None = None
    timeout_ms, force, rest = 0, False, list(words)
    while rest:
        word = rest.pop(0).lower()
        if word == "timeout" and rest and not timeout_ms:
            timeout_ms = read_integer(rest.pop(0).encode("utf-8", "surrogateescape"))
            if timeout_ms <= 0:
                raise CommandError("ERR FAILOVER timeout must be greater than 0")
        elif word == "to" and len(rest) > 1 and target is None:
            host = rest.pop(0)
            target = (host, read_integer(rest.pop(0).encode("utf-8", "surrogateescape")))
        elif word == "force" and not force:
            force = True
        else:
            raise CommandError(SYNTAX_ERROR)
    return target, timeout_ms, force
