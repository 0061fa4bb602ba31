"""Client-side caching as the references do it, byte for byte: who is told of which key, and where among the replies.

Conversations are written as `conversation` says. What goes by prefix is told behind the pipeline that has made it, or, unlike the
references, before the reply to a command of the connection itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.conversation import hold
from tests.support.references import need_reference
from tests.support.servers import Shape

if TYPE_CHECKING:
    from tests.support.servers import ServerPool

READS = """
a CLIENT TRACKING ON
a GET k
b SET k 1
b SET k 2
a MGET k l m
c GET k
b MSET m 1 k 1
a GET k
a SET k 3
b DEL k
a EXISTS k
b APPEND k x
a HGET h f
b HSET h f 1
a HGETALL h
b HDEL h f
a GET k
b EXPIRE k 100
a TTL k
b PERSIST k
a TYPE k; STRLEN k; GETRANGE k 0 1
b RENAME k n
a MGET k n
b COPY n k
a LRANGE k 0 -1
b GETDEL k
a SCARD s; SMEMBERS s
b SADD s 1 2
a ZRANGE z 0 -1; OBJECT ENCODING z
b ZADD z 1 x
a GETSET k 1
b SET k 2
a GETEX n
b SET n 2
a SORT_RO l
b LPUSH l 1
a XREAD STREAMS x y 0 0
b XADD x 1-1 f v
b XADD y 1-1 f v
"""

ON_AND_OFF = """
a CLIENT TRACKING OFF
a CLIENT TRACKING ON
c CLIENT TRACKING ON
a GET k
c GET k
b SET k 1
a GET k
a CLIENT TRACKING OFF
b SET k 1
a CLIENT TRACKING ON; GET k
a CLIENT TRACKING ON NOLOOP
b SET k 2
a GET k
a RESET
b SET k 3
a CLIENT TRACKINGINFO
a GET k
b SET k 3
c GET k
c CLIENT TRACKING OFF; CLIENT TRACKING ON
b SET k 4
"""

FLUSHES = """
a CLIENT TRACKING ON
c CLIENT TRACKING ON BCAST
a GET k
b FLUSHALL
b SET k 1
b FLUSHDB
b FLUSHDB ASYNC
a GET k
b SELECT 3; FLUSHDB SYNC; SELECT 0
b MULTI; FLUSHALL; EXEC
b EVAL return(redis.call('FLUSHALL')) 0
"""

DATABASES = """
a CLIENT TRACKING ON
a GET k
b SELECT 1; SET k 1; SELECT 0
a SELECT 2; GET k; SELECT 0
b SET k 1
a GET k
b MOVE k 1
"""

TRANSACTIONS = """
a CLIENT TRACKING ON
a MULTI; GET k; GET l; EXEC
b SET k 1
a GET k
a MULTI; SET k 1; GET k; INCR l; EXEC
b SET k 5
b MULTI; SET k 1; SET l 1; EXEC
a MGET k l
b MULTI; SET k 1; SET l 1; EXEC
a MULTI; GET k; DISCARD
b SET k 1
c MULTI; CLIENT TRACKING ON; GET k; EXEC
b SET k 1
"""

SCRIPTS = """
a CLIENT TRACKING ON
a EVAL return(redis.call('GET',KEYS[1])) 1 k
b SET k 1
a GET k
b EVAL redis.call('INCR','k');return(redis.call('INCR','k')) 1 k
a GET k
a EVAL return(redis.call('INCR',KEYS[1])) 1 k
"""

READ_ONLY_SCRIPTS = """
a CLIENT TRACKING ON
a EVAL_RO return(redis.call('GET',KEYS[1])) 2 k l
b MSET k 1 l 1
"""

OPT_IN = """
a CLIENT TRACKING ON OPTIN
a GET k
b SET k 1
a CLIENT CACHING YES; GET k; GET l
b MSET k 1 l 1
a CLIENT CACHING YES; MULTI; GET k; GET l; EXEC
b MSET k 1 l 1
a MULTI; CLIENT CACHING YES; GET k; EXEC
b SET k 1
a CLIENT CACHING YES; PING; GET k
b SET k 1
a CLIENT CACHING YES; CLIENT GETNAME; GET k
b SET k 1
a CLIENT CACHING YES; NOSUCH; GET k
b SET k 1
a CLIENT CACHING YES; MGET k l m; GET n
b MSET k 1 l 1 n 1
a CLIENT CACHING YES; EVAL return(redis.call('GET',KEYS[1])) 1 k; GET l
b MSET k 1 l 1
a CLIENT CACHING YES; INFO nothing; GET k
b SET k 1
a CLIENT CACHING YES; CLIENT TRACKINGINFO
a CLIENT TRACKINGINFO
a PING; CLIENT TRACKINGINFO
a CLIENT CACHING NO; CLIENT CACHING MAYBE; CLIENT CACHING
a CLIENT TRACKING ON OPTOUT
a CLIENT TRACKING ON; CLIENT TRACKINGINFO
"""

OPT_OUT = """
a CLIENT TRACKING ON OPTOUT NOLOOP
a GET k
b SET k 1
a CLIENT CACHING NO; GET k; GET l
b MSET k 1 l 1
a CLIENT CACHING NO; MULTI; GET k; GET l; EXEC
b MSET k 1 l 1
a CLIENT CACHING NO; CLIENT TRACKINGINFO; CLIENT CACHING YES
"""

BROADCAST = """
a CLIENT TRACKING ON BCAST PREFIX a: PREFIX b
c CLIENT TRACKING ON BCAST
b SET a:1 1
a GET a:1
b MSET b2 x b1 x c x a:9 x
b DEL b1 b2 nothing
b SADD a:s 1
b SADD a:s 1
a CLIENT TRACKING ON BCAST PREFIX c
a CLIENT TRACKINGINFO
b SET c 1
b EVAL redis.call('SET','a:2','1');redis.call('SET','a:1','1') 0
a SET c 2
b MULTI; SET a:1 1; SET b 1; SET a:1 2; EXEC
a CLIENT TRACKING OFF
b SET c 2
a CLIENT TRACKINGINFO
c CLIENT TRACKING ON BCAST; CLIENT TRACKINGINFO
"""

NO_LOOP = """
a CLIENT TRACKING ON NOLOOP
a GET k
a SET k 1
a GET k
b SET k 2
c CLIENT TRACKING ON BCAST NOLOOP
c SET x 1
c MSET x 1 y 2
b SET x 2
a GET k
a MULTI; SET k 1; EXEC
a GET k
a EVAL return(redis.call('SET',KEYS[1],1)) 1 k
"""

OWN_FLUSHES = """
a CLIENT TRACKING ON NOLOOP
a GET k
a FLUSHALL
a CLIENT TRACKING OFF; CLIENT TRACKING ON BCAST
a FLUSHDB
"""

REDIRECTED = """
b SUBSCRIBE __redis__:invalidate
a CLIENT TRACKING ON REDIRECT @b
a GET k; CLIENT GETREDIR; CLIENT TRACKINGINFO
c SET k 1
a GET k
a SET k 2
b UNSUBSCRIBE
a GET k
c SET k 3
a CLIENT TRACKING OFF; CLIENT GETREDIR; CLIENT TRACKINGINFO
a CLIENT TRACKING ON BCAST REDIRECT @b PREFIX k
b SUBSCRIBE other
c SET k 4
a SET k 5
a CLIENT TRACKING ON BCAST REDIRECT @c PREFIX l
c SET l 5
a CLIENT TRACKING OFF
c SET k 6
"""

REDIRECTED_TO_ITSELF = """
a SUBSCRIBE c
a CLIENT TRACKING ON REDIRECT @a
a CLIENT TRACKINGINFO
"""

WRONG = """
a CLIENT TRACKING; CLIENT TRACKING MAYBE; CLIENT TRACKING ON NOSUCH; CLIENT TRACKING OFF NOSUCH
a CLIENT TRACKING ON REDIRECT; CLIENT TRACKING ON REDIRECT x; CLIENT TRACKING ON REDIRECT 0; CLIENT TRACKING ON REDIRECT -1
a CLIENT TRACKING ON REDIRECT 123456789; CLIENT TRACKING ON REDIRECT 99999999999999999999
a CLIENT TRACKING ON REDIRECT @b REDIRECT @c
a CLIENT TRACKING ON PREFIX; CLIENT TRACKING ON PREFIX a; CLIENT TRACKING OFF PREFIX a
a CLIENT TRACKING ON BCAST OPTIN; CLIENT TRACKING ON OPTOUT BCAST; CLIENT TRACKING ON OPTIN OPTOUT
a CLIENT TRACKING ON BCAST PREFIX ab PREFIX a
a CLIENT TRACKING ON BCAST PREFIX a PREFIX a
a CLIENT CACHING YES; CLIENT CACHING NO; CLIENT CACHING x; CLIENT GETREDIR; CLIENT GETREDIR x; CLIENT TRACKINGINFO x
a CLIENT TRACKING ON; CLIENT CACHING YES; CLIENT CACHING NO; CLIENT CACHING x; CLIENT TRACKING ON BCAST
a CLIENT TRACKING OFF; CLIENT TRACKING ON OPTOUT; CLIENT TRACKING ON OPTIN; CLIENT TRACKING OFF
a CLIENT TRACKING ON BCAST PREFIX a: PREFIX b:; CLIENT TRACKING ON BCAST PREFIX a:x; CLIENT TRACKING ON BCAST PREFIX b
a CLIENT TRACKING ON; CLIENT TRACKING ON BCAST PREFIX ""; CLIENT TRACKINGINFO
a CLIENT TRACKING ON OPTIN; CLIENT TRACKING ON BCAST PREFIX c:; CLIENT TRACKINGINFO
"""

PIPELINES = """
a CLIENT TRACKING ON
a GET k; SET k 1; GET k; SET k 2; GET l; SET l 1; PING; SET k 3; GET k
a SET k 1; SET l 1; GET m; DEL m; GET k
a GET k; GET l; GET m; GET n; INCR l; APPEND k x; GET l; HSET m f 1; SET n 1; GET k
a GET k; GETDEL k; GET k; SET k 1; SETNX k 2; EXPIRE k 100; PERSIST k
b SET k 1; SET l 1; SET m 1; SET n 1
a CLIENT TRACKING ON NOLOOP
a GET k; SET k 1; GET k; SET k 2; PING
a CLIENT TRACKING OFF; CLIENT TRACKING ON OPTIN
a CLIENT CACHING YES; GET k; SET k 1; GET k; SET k 2; CLIENT CACHING YES; GET l; INCR l; PING
a CLIENT TRACKING OFF; CLIENT TRACKING ON BCAST
a GET k; SET k 1; GET k
"""

GROUPS_OF_STREAMS = """
b XADD x 1-1 f v; XADD x 1-2 f v
a CLIENT TRACKING ON
a XRANGE x - +
c WATCH x
b XGROUP CREATE x g 0
c MULTI; PING; EXEC
c WATCH x
b XREADGROUP GROUP g u STREAMS x >
c MULTI; PING; EXEC
c WATCH x
b XACK x g 1-1; XCLAIM x g w 0 1-2; XAUTOCLAIM x g u 0 0
c MULTI; PING; EXEC
c WATCH x
b XGROUP CREATECONSUMER x g z; XGROUP DELCONSUMER x g z; XGROUP SETID x g 0; XSETID x 9-0; XGROUP DESTROY x g
c MULTI; PING; EXEC
c WATCH x y
b XGROUP CREATE y g $ MKSTREAM
c MULTI; PING; EXEC
b XADD x 9-1 f v
"""

conversations = {
    "pipelines": PIPELINES,
    "reads": READS, "on and off": ON_AND_OFF, "flushes": FLUSHES, "databases": DATABASES,
    "transactions": TRANSACTIONS, "scripts": SCRIPTS, "own flushes": OWN_FLUSHES,
    "read-only scripts": READ_ONLY_SCRIPTS, "opt in": OPT_IN, "opt out": OPT_OUT, "broadcast": BROADCAST,
    "groups of streams": GROUPS_OF_STREAMS, "no loop": NO_LOOP, "redirected": REDIRECTED, "redirected to itself": REDIRECTED_TO_ITSELF, "wrong": WRONG,
}  # fmt: skip
# Redis 7.0 counts all keys that a read-only script names as read, and Redis 8.0 tells of a flush before its reply.
differences = {("redis7", "read-only scripts"), ("redis8", "own flushes")}
shapes = [Shape(shards=1, io_threads=1), Shape(shards=4, io_threads=2)]


@pytest.mark.parametrize("shape", shapes, ids=lambda shape: f"{shape.shards}-shards")
@pytest.mark.parametrize("conversation", conversations)
def test_invalidations_and_replies_are_those_of_the_references(
    conversation: str, pool: ServerPool, shape: Shape, reference_name: str, protocol: int
) -> None:
    """Three connections that talk to Sherd and to a reference."""
    if (reference_name, conversation) in differences:
        pytest.skip("the reference has a way of its own here: see differences")
    text = conversations[conversation]
    mine = hold(pool.get(shape=shape), text, protocol)
    other = hold(pool.get(need_reference(reference_name)), text, protocol)
    for ours, theirs in zip(mine, other, strict=True):
        assert ours == theirs
