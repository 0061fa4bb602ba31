"""Pub/Sub as the references do it, byte for byte: replies, messages, and where they come among one another.

Conversations are written as `conversation` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.conversation import hold
from tests.support.references import need_reference
from tests.support.servers import Shape

if TYPE_CHECKING:
    from tests.support.servers import ServerPool

SUBSCRIBING = """
a SUBSCRIBE one two one
b PUBLISH one hello; PUBLISH two world; PUBLISH three nobody
c SUBSCRIBE one
b PUBLISH one again
a UNSUBSCRIBE one nothing
b PUBLISH one last
c UNSUBSCRIBE
c UNSUBSCRIBE
a UNSUBSCRIBE two
a GET key
b PUBLISH one nobody
"""

PATTERNS = """
a PSUBSCRIBE news.* news.* h[ae]llo
b PSUBSCRIBE n*
a SUBSCRIBE news.art
c PUBLISH news.art picture; PUBLISH hallo x; PUBLISH hillo x
c PUBLISH news. x; PUBLISH other x
a PUNSUBSCRIBE news.* unknown
c PUBLISH news.art picture
a PUNSUBSCRIBE
a PUNSUBSCRIBE
a UNSUBSCRIBE news.art
a GET key
"""

ODD_NAMES = """
a SUBSCRIBE "" * a*b
b PSUBSCRIBE *
c PUBLISH "" empty; PUBLISH * star; PUBLISH a*b both
b PSUBSCRIBE ? [a-c]x \\*
c PUBLISH * star; PUBLISH bx class; PUBLISH dx none
b PSUBSCRIBE a*a*a*a*a*a*b
c PUBLISH aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa x
"""

SHARD_CHANNELS = """
a SSUBSCRIBE one two
a SUBSCRIBE one
b PUBLISH one plain; SPUBLISH one sharded; SPUBLISH three nobody
b PUBSUB SHARDNUMSUB one two three; PUBSUB NUMSUB one two
b PUBSUB SHARDCHANNELS o*; PUBSUB CHANNELS; PUBSUB CHANNELS t*
a SUNSUBSCRIBE one none
a SUNSUBSCRIBE
a SUNSUBSCRIBE
b SPUBLISH one nobody
a UNSUBSCRIBE one
"""

COUNTS = """
a SUBSCRIBE one
a PSUBSCRIBE x* y*
a SSUBSCRIBE one
b PSUBSCRIBE x*
c PUBSUB NUMPAT; PUBSUB NUMSUB; PUBSUB NUMSUB one one two; PUBSUB CHANNELS nothing; PUBSUB SHARDNUMSUB
a UNSUBSCRIBE
a PUNSUBSCRIBE x*
c PUBSUB NUMPAT; PUBSUB CHANNELS; PUBSUB SHARDCHANNELS
"""

RESTRICTIONS = """
a GET key
a SUBSCRIBE c
a GET key; CONFIG GET maxmemory; PUBLISH other m; MULTI; EXEC; ECHO x; NOSUCH; GET; SELECT 1
a PING; PING word; PING a b
a RESET
a GET key; PING; PING word
b PUBLISH c nobody
a PSUBSCRIBE c
a GET key
a PUNSUBSCRIBE
a SSUBSCRIBE c
a GET key; SUNSUBSCRIBE; GET key
"""

WRONG = """
a SUBSCRIBE; PSUBSCRIBE; SSUBSCRIBE; PUBLISH; PUBLISH c; PUBLISH c m x; SPUBLISH c
a PUBSUB; PUBSUB NOSUCH; PUBSUB NUMPAT x; PUBSUB HELP; PUBSUB CHANNELS a b; PUBSUB SHARDCHANNELS a b
"""

TRANSACTIONS = """
a SUBSCRIBE c
b MULTI; SET k 1; PUBLISH c one; INCR k; PUBLISH c two; EXEC
b MULTI; PUBLISH c never; DISCARD
b MULTI; PUBSUB NUMSUB c; PUBLISH nobody x; EXEC
c MULTI; SUBSCRIBE d; PSUBSCRIBE e*; EXEC
b PUBLISH d x; PUBLISH ee x
c UNSUBSCRIBE
c PUNSUBSCRIBE
b MULTI; SSUBSCRIBE s; GET k; EXEC
b MULTI; SUBSCRIBE; EXEC
c MULTI; PING; SUBSCRIBE d; PING; PING x; GET k; UNSUBSCRIBE; PING; EXEC
c MULTI; SUBSCRIBE d; ECHO x; PING; EXEC; PING
"""

OWN_MESSAGES = """
a SUBSCRIBE c
a PUBLISH c one; PING; PUBLISH c two; GET k
a PSUBSCRIBE c*
a PUBLISH c one
a MULTI; PUBLISH c one; GET k; PUBLISH c two; EXEC; PING
a SET k 1; PUBLISH c three; GET k
"""

SILENCE = """
a SUBSCRIBE c
a CLIENT REPLY OFF; PUBLISH c one; GET k; SUBSCRIBE d; CLIENT REPLY ON
b PUBLISH c two
a CLIENT REPLY SKIP; GET k; PING
a CLIENT REPLY SKIP; SUBSCRIBE e; PING
"""

EVENTS = """
b CONFIG SET notify-keyspace-events KEA
a PSUBSCRIBE __key*@*__:*
b SET k 1; INCR k; LPUSH l a b; LPOP l; RENAME k m; DEL m l nothing
b SELECT 2; SET k v; EXPIRE k 100; PERSIST k; SELECT 0
b CONFIG SET notify-keyspace-events E$
b SET k 1; LPUSH l a; DEL l
b CONFIG SET notify-keyspace-events Kg
b SET k 1; DEL k
b MULTI; SET k 1; DEL k; EXEC
b CONFIG SET notify-keyspace-events ""
b SET k 1; DEL k
"""

SCRIPTS = """
b CONFIG SET notify-keyspace-events KEA
a SUBSCRIBE c __keyspace@0__:k
c SSUBSCRIBE c
b EVAL redis.call('SET','k','1')return{redis.call('PUBLISH','c','one'),redis.call('DEL','k'),redis.call('PUBLISH','c','two')} 1 k
b EVAL return{redis.call('SPUBLISH','c','one'),redis.call('PUBLISH','nobody','x')} 0
b MULTI; EVAL return(redis.call('PUBLISH','c','in')) 0; PUBLISH c after; EXEC
b CONFIG SET notify-keyspace-events ""
"""

conversations = {
    "subscribing": SUBSCRIBING, "patterns": PATTERNS, "odd names": ODD_NAMES, "shard channels": SHARD_CHANNELS,
    "counts": COUNTS, "restrictions": RESTRICTIONS, "wrong": WRONG, "transactions": TRANSACTIONS,
    "own messages": OWN_MESSAGES, "silence": SILENCE, "events": EVENTS,
    "scripts": SCRIPTS,
}  # fmt: skip
# Redis 7.0 sends a publisher's own message before its reply, no message where CLIENT REPLY is off, and another text for HELP.
not_as_in_redis7 = {"own messages", "silence", "wrong"}
shapes = [Shape(shards=1, io_threads=1), Shape(shards=4, io_threads=3)]


def _in_any_order(heard: list[tuple[str, str, list[bytes]]]) -> list[tuple[str, str, list[bytes]]]:
    """A message that several patterns of one client match comes once for each, in no order that anybody promises."""
    return [(step, name, sorted(replies) if "PUBLISH" in step or "PUNSUB" in step else replies)
            for step, name, replies in heard]  # fmt: skip


@pytest.mark.parametrize("shape", shapes, ids=lambda shape: f"{shape.shards}-shards")
@pytest.mark.parametrize("conversation", conversations)
def test_messages_and_replies_are_those_of_the_references(
    conversation: str, pool: ServerPool, shape: Shape, reference_name: str, protocol: int
) -> None:
    """Three connections that talk to Sherd and to a reference."""
    if reference_name == "redis7" and conversation in not_as_in_redis7:
        pytest.skip("Redis 7.0 answers this conversation otherwise than 8.0 and Valkey 9.1: see not_as_in_redis7")
    text = conversations[conversation]
    mine = hold(pool.get(shape=shape), text, protocol)
    other = hold(pool.get(need_reference(reference_name)), text, protocol)
    if conversation in ("patterns", "odd names"):
        mine, other = _in_any_order(mine), _in_any_order(other)
    for ours, theirs in zip(mine, other, strict=True):
        assert ours == theirs
