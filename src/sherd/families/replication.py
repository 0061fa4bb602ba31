"""REPLICAOF, ROLE, REPLCONF: who follows whom."""

from __future__ import annotations

from sherd.errors import SYNTAX_ERROR, CommandError
from sherd.observability.node import Node
from sherd.replication import Follower
from sherd.resp import OK, Encoded, Reply, Simple
from sherd.spec import Request, command

_NO_REPLY = Encoded(b"")
_NOT_AN_INTEGER = "ERR value is not an integer or out of range"
_HOST_LENGTH_MAX = 45
_PORT_MAX = 65535
_LONG_DIGITS_MAX = 19


@command(
    "replicaof",
    arity=3,
    flags="admin noscript stale no_async_loading",
    group="server",
    since="5.0.0",
    summary="Makes the server follow a primary, or nobody.",
    complexity="O(1)",
    syntax="<host port | NO ONE>",
)
async def replicaof(request: Request) -> Reply:
    """Answers when the role has changed; the data follow later."""
    node, follower = request.services.get(Node), request.services.get(Follower)
    host, port = (word.decode("utf-8", "surrogateescape") for word in request.args[1:])
    if node.cluster_enabled:
        raise CommandError("ERR REPLICAOF not allowed in cluster mode.")
    if (host.lower(), port.lower()) == ("no", "one"):
        await follower.lead()
        return OK
    number = _integer(request.args[2], "ERR Invalid master port")
    if not 0 <= number <= _PORT_MAX:
        raise CommandError("ERR Invalid master port")
    if node.replication.primary == (host, number):
        return Simple("OK Already connected to specified master")
    follower.follow(host, number)
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
)
async def slaveof(request: Request) -> Reply:
    """The older name."""
    return await replicaof(request)


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
        return ["master", replication.current_offset, []]
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
    for name, value in zip(words[::2], words[1::2], strict=True):
        match name.lower():
            case b"listening-port" | b"rdb-only":
                _integer(value)
            case b"ip-address":
                if len(value) > _HOST_LENGTH_MAX:
                    reason = "REPLCONF ip-address provided by replica instance is too long"
                    raise CommandError(f"ERR {reason}: {len(value)} bytes")
            case b"capa" | b"version" | b"rdb-filter-only":
                pass
            case b"ack" | b"getack":
                # Something that only a link of replication means.
                return _NO_REPLY
            case _:
                raise CommandError(f"ERR Unrecognized REPLCONF option: {name.decode('utf-8', 'surrogateescape')}")
    return OK


def _integer(word: bytes, refusal: str = _NOT_AN_INTEGER) -> int:
    digits = word.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > _LONG_DIGITS_MAX or (len(digits) > 1 and digits.startswith(b"0")):
        raise CommandError(refusal)
    return int(word)
