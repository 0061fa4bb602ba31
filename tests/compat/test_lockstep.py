"""Conversations of several connections, step by step, on Sherd and on all references: see `lockstep`.

Some random conversations are held; `SHERD_TEST_PROFILE=deep` holds a new one for each of `SHERD_TEST_EXAMPLES`. What was
found so, and mended, is pinned as what the search has made of it.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.compat.lockstep.search import Search, look
from tests.compat.lockstep.session import parse
from tests.conftest import hypothesis_profile, shapes
from tests.support.references import need_reference, reference_names
from tests.support.servers import stand_in_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import ServerPool

_is_deep = hypothesis_profile == "deep"
_seeds = (
    [random.randrange(10**9) for _ in range(int(os.environ.get("SHERD_TEST_EXAMPLES", "3000")))]
    if _is_deep
    else range(1000, 1020)
)
_length = 40 if _is_deep else 25

MONITOR_AGAIN = """
: a2 b3
a MONITOR
a MONITOR
b MONITOR; MONITOR; RESET
b SET s1 1
"""

MONITOR_DURING_A_PAUSE = """
: a3 b2
a MONITOR
b CLIENT PAUSE 100000 WRITE
a DEL l1
a GET l1
b CLIENT UNPAUSE
"""

REFUSED_EXEC_IS_SHOWN = """
: a3 b2 c2
a MONITOR
b SUBSCRIBE n
b EXEC
c MULTI; SET s1 1; EXEC x
c EXEC x
c EXEC
"""

LAST_COMMAND_OF_A_PIPELINE = """
: a2 b3
b ZADD z2 LT 2 c; XDEL x2 3-0
a CLIENT LIST ID @b
b XGROUP CREATE x1 g $ MKSTREAM; XDEL x2 3-0
a CLIENT LIST ID @b
b SET s1 1; LPUSH l1 a; HSET h1 f v; SADD t1 a; GET s2
a CLIENT LIST ID @b
"""

SELECT_OF_A_SCRIPT_IS_SHOWN = """
: a3 b2
b MONITOR
a EVAL redis.call('SELECT',1);return(redis.call('SET',KEYS[1],'1')) 1 s1
a EVAL redis.pcall('SELECT',99);redis.pcall('MULTI');return(redis.call('GET',KEYS[1])) 1 s1
"""

OWN_EVENTS_WHILE_ANOTHER_TRACKS = """
: a3 b3 c2
a PSUBSCRIBE __key*
b CONFIG SET notify-keyspace-events KEA
a SET s1 1
b CLIENT TRACKING ON
a SET s1 1
a LPUSH l1 1
a MULTI; SET s1 2; EXEC
"""

GROUPS_ARE_NOT_THE_STREAM = """
: a3 b3 c2 d2 e2
c XADD x1 1-1 f v
c XADD x1 1-2 f v
b CLIENT TRACKING ON BCAST
a WATCH x1
c XGROUP CREATE x1 g 0
a MULTI; PING; EXEC
a WATCH x1
c XREADGROUP GROUP g u STREAMS x1 >
a MULTI; PING; EXEC
a WATCH x1
c XACK x1 g 1-1
a MULTI; PING; EXEC
a WATCH x1
c XCLAIM x1 g w 0 1-2
c XAUTOCLAIM x1 g u 0 0
a MULTI; PING; EXEC
a WATCH x1
c XGROUP CREATECONSUMER x1 g z
c XGROUP DELCONSUMER x1 g z
a MULTI; PING; EXEC
d XREADGROUP GROUP g u BLOCK 0 STREAMS x1 >
a WATCH x1
c XGROUP SETID x1 g 0
c XSETID x1 9-0
a MULTI; PING; EXEC
c XADD x1 9-1 f v
e XREADGROUP GROUP g u BLOCK 0 STREAMS x1 >
a WATCH x1
c XGROUP DESTROY x1 g
a MULTI; PING; EXEC
a WATCH x2
c XGROUP CREATE x2 g $ MKSTREAM
a MULTI; PING; EXEC
"""

WHO_CUTS_ITSELF_IS_ANSWERED = """
: a2 b3 c3
b SUBSCRIBE c1 n.a
a ACL SETUSER alice on nopass ~* &* +@all
b AUTH alice pw
b ACL SETUSER alice resetchannels &c*
c ACL WHOAMI
"""

CONFIRMED_THOUGH_REPLIES_ARE_OFF = """
: a2 b3 c2
a CLIENT REPLY OFF; MULTI; SUBSCRIBE c1; PSUBSCRIBE n.*; PING; EXEC
c PUBLISH c1 1
a CLIENT REPLY ON
b CLIENT REPLY OFF; MULTI; SUBSCRIBE c1; SET s1 1; UNSUBSCRIBE; EXEC
c GET s1
b CLIENT REPLY ON
"""

LAST_COMMAND_WAS_REFUSED = """
: a2 b3
b GET s1
b SET s1
a CLIENT LIST ID @b
b NOSUCH
a CLIENT LIST ID @b
b GET s1
b CONFIG NOSUCH
a CLIENT LIST ID @b
b MULTI
b INCR
a CLIENT LIST ID @b
"""

REFUSED_FOR_WANT_OF_MEMORY_IS_NOT_SHOWN = """
: a2 b3
a MONITOR
b CONFIG SET maxmemory 1
b SET s1 1
b GET s1
b MULTI; GET s1; EXEC
b EVAL "#!lua\\nreturn redis.call('SET',KEYS[1],'1')" 1 s1
b EVAL return(redis.pcall('SET',KEYS[1],'1')) 1 s1
b CONFIG SET maxmemory 0
b SET s1 1
"""

SCRIPTS_THAT_DO_NOT_BEGIN_ARE_SHOWN = """
: a2 b3
a MONITOR
b EVAL return(1) x
b EVAL return(1) 2 s1
b EVAL_RO return(1) -1
b FUNCTION LOAD "#!lua name=lib\\nredis.register_function('f', function(keys, args) return 1 end)"
b FCALL f x
b FCALL f 2 s1
b FCALL_RO f 0
b FCALL nosuch 0
"""

SCRIPTS_ARE_SHOWN_IN_THEIR_PLACES = """
: a2 b3 c2
a MONITOR
b EVAL return(redis.call('SET',KEYS[1],'1')) 1 s1; GET s1; PING; EVAL return(1) 0; LPUSH l1 a; CLIENT ID
b EVAL return(1) 0; EVAL return(2) 0; CONFIG GET maxmemory; SET s2 1
c BLPOP l2 0
c EVAL return(redis.call('GET',KEYS[1])) 1 s2; FLUSHALL
b LPUSH l2 a
"""

FLAGS_IN_ONE_ORDER = """
: a3 b2 c3
b CLIENT TRACKING ON BCAST
b CLIENT NO-EVICT ON
b SUBSCRIBE c1
a CLIENT LIST ID @b
b UNSUBSCRIBE
b XREAD BLOCK 0 STREAMS x2 $
c CLIENT TRACKING ON
c MULTI
a CLIENT LIST ID @b
a CLIENT LIST ID @c
"""

SKIPPED_REPLY_OF_A_WAIT = """
: a2 b3
a CLIENT REPLY SKIP; BLPOP l1 0.02; ~80
a CLIENT PAUSE 30 WRITE; ~80
b CLIENT REPLY SKIP; XREAD BLOCK 20 STREAMS x1 $; ~80
b MULTI; CLIENT PAUSE 30; EXEC; ~80
b CLIENT REPLY SKIP; CLIENT PAUSE 30 WRITE; PING; ~80
a PING
"""

CONSUMERS_LOOK_FOR_THEIR_KEY = """
: a3 b2
b CONFIG SET notify-keyspace-events KEm
a PSUBSCRIBE __keyevent@0__:*
b XACK x1 g 1-1
b XCLAIM x1 g w 0 1-1
b XAUTOCLAIM x1 g w 0 0
b XREAD STREAMS x1 x2 0 $
"""

PINNED = {
    "monitor again": MONITOR_AGAIN, "monitor during a pause": MONITOR_DURING_A_PAUSE,
    "refused exec is shown": REFUSED_EXEC_IS_SHOWN, "last command of a pipeline": LAST_COMMAND_OF_A_PIPELINE,
    "select of a script is shown": SELECT_OF_A_SCRIPT_IS_SHOWN,
    "own events while another tracks": OWN_EVENTS_WHILE_ANOTHER_TRACKS,
    "who cuts itself is answered": WHO_CUTS_ITSELF_IS_ANSWERED,
    "groups are not the stream": GROUPS_ARE_NOT_THE_STREAM,
    "confirmed though replies are off": CONFIRMED_THOUGH_REPLIES_ARE_OFF,
    "last command was refused": LAST_COMMAND_WAS_REFUSED,
    "scripts that do not begin are shown": SCRIPTS_THAT_DO_NOT_BEGIN_ARE_SHOWN,
    "scripts are shown in their places": SCRIPTS_ARE_SHOWN_IN_THEIR_PLACES,
    "refused for want of memory is not shown": REFUSED_FOR_WANT_OF_MEMORY_IS_NOT_SHOWN,
    "skipped reply of a wait": SKIPPED_REPLY_OF_A_WAIT, "flags in one order": FLAGS_IN_ONE_ORDER, "consumers look for their key": CONSUMERS_LOOK_FOR_THEIR_KEY,
}  # fmt: skip


@pytest.fixture(scope="module")
def search(pool: ServerPool) -> Iterator[Search]:
    """Sherd with one shard and with several, and all references."""
    for name in reference_names:
        need_reference(name)
    if stand_in_command() is not None:
        pytest.skip("what a stand-in does is not compared with what others do")
    search = Search(pool, list(shapes.values()))
    yield search
    search.close()


@pytest.mark.parametrize("name", PINNED)
def test_what_was_mended_stays_as_all_references_do_it(name: str, search: Search) -> None:
    """Every step of the conversation, on every connection."""
    found = search.examine(parse(PINNED[name]))
    assert not found, "\n".join(str(difference) for _, difference in found)


@pytest.mark.parametrize("seed", _seeds)
def test_random_conversations_go_as_with_the_references(seed: int, search: Search) -> None:
    """Each step brings every connection what it brings with at least one of them."""
    _, reports = look(search, seed, _length)
    assert not reports, "\n".join(reports)
