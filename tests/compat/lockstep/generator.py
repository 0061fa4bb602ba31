"""Random conversations: a few topics each, so that what belongs together meets, on few keys of every type.

`{a|b}` picks a word, `<L>` a key (mostly one of a list; `<S>` of a string, and so on), `<v>` a value, `<who>` a connection.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from tests.compat.lockstep.session import Conversation, Step

_keys = {
    "S": ("s1", "s2"), "L": ("l1", "l2", "{l1}b"), "H": ("h1",), "T": ("t1", "t2"), "Z": ("z1", "z2"), "X": ("x1", "x2"),
}  # fmt: skip
_any_key = [key for keys in _keys.values() for key in keys]
_values = ("1", "2", "3", "a", "b", "c")
_channels = ("c1", "c2", "n.a", "n.b")
_patterns = ("c*", "n.*", "__key*", "__keyspace@0__:l*", "__keyevent@*__:*")

_library = (
    '"#!lua name=lib\\n'
    "redis.register_function('fc', function(keys, args) return redis.call(args[1], keys[1], unpack(args, 2)) end)\\n"
    "redis.register_function('fp', function(keys, args) return redis.pcall(unpack(args)) end)\\n"
    "redis.register_function{function_name='fr', callback=function(keys, args)"
    " return redis.call('GET', keys[1]) end, flags={'no-writes'}}\""
)

_data = """
SET <S> <v>
SET <S> <v> {NX|XX|GET|KEEPTTL|EX 1000|PX 100000}
GET <S>
GETDEL <S>
GETSET <S> <v>
APPEND <S> <v>
INCR <S>
DECRBY <S> 2
MSET <S> <v> <S> <v>
MSETNX <S> <v> <S> <v>
MGET <S> <S> <any>
SETRANGE <S> 1 <v>
SETBIT <S> 3 1
GETEX <S> {PERSIST|EX 1000}
BITOP OR <S> <S> <S>
PFADD s2 <v>
LPUSH <L> <v> <v>
RPUSH <L> <v>
RPUSH <L> <v> <v> <v>
LPUSHX <L> <v>
LPOP <L>
RPOP <L> 2
LRANGE <L> 0 -1
LLEN <L>
LMOVE <L> <L> {LEFT|RIGHT} {LEFT|RIGHT}
RPOPLPUSH <L> <L>
LINSERT <L> BEFORE <v> <v>
LREM <L> 0 <v>
LTRIM <L> 1 -1
LMPOP 2 <L> <L> LEFT
LSET <L> 0 <v>
HSET <H> f <v> g <v>
HGET <H> f
HGETALL <H>
HDEL <H> f g
HINCRBY <H> f 1
HPEXPIRE <H> 100000 FIELDS 1 f
HTTL <H> FIELDS 2 f g
HPERSIST <H> FIELDS 1 f
SADD <T> <v> <v>
SREM <T> <v>
SMEMBERS <T>
SMOVE <T> <T> <v>
SINTERSTORE <T> <T> <T>
SUNIONSTORE <T> <T> <T>
SPOP <T> 100
SCARD <T>
ZADD <Z> <n> <v>
ZADD <Z> <n> <v> <n> <v>
ZADD <Z> {NX|XX|GT|LT|CH|INCR} <n> <v>
ZREM <Z> <v>
ZPOPMIN <Z>
ZPOPMAX <Z> 2
ZMPOP 1 <Z> MIN
ZRANGE <Z> 0 -1 WITHSCORES
ZINCRBY <Z> 1 <v>
ZUNIONSTORE <Z> 2 <Z> <Z>
ZRANGESTORE <Z> <Z> 0 -1
ZREMRANGEBYRANK <Z> 0 0
GEOADD z2 1 1 <v>
XADD <X> {1|2|3}-* f <v>
XADD <X> 3-* f <v>
XADD <X> MAXLEN 2 3-* f <v>
XDEL <X> 3-0
XTRIM <X> MAXLEN 1
XLEN <X>
XRANGE <X> - +
XGROUP CREATE <X> g {0|$} MKSTREAM
XGROUP CREATE <X> g $
XGROUP DESTROY <X> g
XGROUP SETID <X> g 0
XACK <X> g 3-0
XREADGROUP GROUP g {u|w} STREAMS <X> >
XPENDING <X> g
XSETID <X> 4-0
DEL <any>
DEL <any> <any>
UNLINK <any>
EXISTS <any> <any>
TYPE <any>
RENAME <any> <any>
RENAMENX <any> <any>
COPY <any> <any> REPLACE
COPY <any> <any> DB 1
EXPIRE <any> 1000
EXPIRE <any> {-1|0}
PERSIST <any>
TTL <any>
TOUCH <any>
OBJECT ENCODING <any>
SORT <L> ALPHA STORE <L>
SORT t1 ALPHA STORE <L>
RESTORE <any> 0 x
DBSIZE
GETRANGE <S> 0 1
INCRBYFLOAT <S> 0.5
SETNX <S> <v>
SETEX <S> 1000 <v>
BITFIELD <S> SET u8 0 65 INCRBY u8 0 1
BITCOUNT <S>
STRLEN <S>
LCS s1 s2
PFMERGE s2 s1
PFCOUNT s2
LPOS <L> <v>
LINDEX <L> -1
LMPOP 1 <L> RIGHT COUNT 2
HSETNX <H> f <v>
HMGET <H> f g
HEXPIRE <H> 1000 FIELDS 1 f
HGETDEL <H> FIELDS 1 f
HSETEX <H> EX 1000 FIELDS 1 f <v>
HGETEX <H> PERSIST FIELDS 1 f
SDIFFSTORE <T> <T> <T>
SISMEMBER <T> <v>
ZADD <Z> XX GT CH <n> <v>
ZSCORE <Z> <v>
ZRANK <Z> <v>
ZDIFFSTORE <Z> 2 <Z> <Z>
ZINTERSTORE <Z> 2 <Z> <Z>
ZREMRANGEBYSCORE <Z> 1 2
ZRANDMEMBER <Z> 0
GEOSEARCHSTORE <Z> z2 FROMLONLAT 1 1 BYRADIUS 10 km
XCLAIM <X> g w 0 3-0 JUSTID
XAUTOCLAIM <X> g w 0 0 JUSTID
XGROUP CREATECONSUMER <X> g {u|w}
XGROUP DELCONSUMER <X> g {u|w}
XREVRANGE <X> + - COUNT 1
XREAD COUNT 1 STREAMS <X> <X> 0 0
SORT <L> BY nosort GET # LIMIT 0 2
SORT <L>
EXPIRETIME nokey
PUBLISH <c> <v>
SPUBLISH <c> <v>
"""

_blocking = """
BLPOP <L> <L> 0
BRPOP <L> 0
BLPOP <L> <any> 0
BLMOVE <L> <L> LEFT RIGHT 0
BRPOPLPUSH <L> <L> 0
BLMPOP 0 2 <L> <L> RIGHT COUNT 2
BZPOPMIN <Z> <Z> 0
BZPOPMAX <Z> 0
BZMPOP 0 2 <Z> <Z> MIN COUNT 2
XREAD BLOCK 0 STREAMS <X> $
XREAD COUNT 1 BLOCK 0 STREAMS <X> <X> $ 0
XREADGROUP GROUP g {u|w} BLOCK 0 STREAMS <X> >
XREADGROUP GROUP g u NOACK BLOCK 0 STREAMS <X> <X> > >
BLPOP <L> 0.02; ~80
BLMOVE <L> <L> LEFT RIGHT 0.02; ~80
BZMPOP 0.02 1 <Z> MAX; ~80
XREAD BLOCK 20 STREAMS <X> $; ~80
WAIT 0 0
WAIT 1 20; ~80
BLPOP <L> 0; GET <S>; LPUSH <L> <v>
BLPOP <L> 1000
BZPOPMIN <Z> 1000
XGROUP CREATE <X> g $ MKSTREAM; XREADGROUP GROUP g u BLOCK 0 STREAMS <X> >
"""
_waking = """
LPUSH <L> <v>
RPUSH <L> <v> <v>
RPUSH <L> <v>; LPOP <L>
LPUSH <L> <v>; DEL <L>
ZADD <Z> <n> <v>
ZADD <Z> <n> <v> <n> <v> <n> <v>
XADD <X> 3-* f <v>
XADD <X> 3-* f <v>; XADD <X> 3-* f <v>
XGROUP DESTROY <X> g
DEL <X>
SET <X> 1
SET <L> 1
RENAME <L> <L>
RENAME <any> <any>
COPY <any> <any> REPLACE
LMOVE <L> <L> LEFT LEFT
SORT t1 ALPHA STORE <L>
ZUNIONSTORE <Z> 1 <Z>
GEOADD z2 1 1 a
MULTI; RPUSH <L> a b; LPOP <L>; EXEC
MULTI; LPUSH <L> <v>; ZADD <Z> 1 <v>; XADD <X> 3-* f <v>; EXEC
MULTI; LPUSH <L> <v>; DEL <L>; EXEC
MULTI; DEL <any>; LPUSH <L> <v>; SET <S> 1; EXEC
EVAL return(redis.call('RPUSH',KEYS[1],'x','y')) 1 <L>
EVAL redis.call('RPUSH',KEYS[1],'x');redis.call('ZADD',KEYS[2],1,'m');return(redis.call('LLEN',KEYS[1])) 2 <L> <Z>
EVAL redis.call('RPUSH','l1','x');redis.call('RPUSH','l2','y');return(redis.call('XADD','x1','5-*','f','v')) 0
EVAL redis.call('RPUSH',KEYS[1],'x');return(redis.call('NOSUCH')) 1 <L>
CLIENT UNBLOCK <who>
CLIENT UNBLOCK <who> {ERROR|TIMEOUT}
CLIENT KILL ID <who>
SWAPDB 0 1
MOVE <any> 1
SELECT 1; RPUSH <L> <v>; SELECT 0
XSETID <X> 7-0
FLUSHALL
"""
_transactions = """
MULTI
MULTI
EXEC
EXEC
DISCARD
WATCH <any> <any>
WATCH <any>
UNWATCH
MULTI; <data>; <data>; EXEC
WATCH <any>; <data>; MULTI; <data>; EXEC
MULTI; NOSUCH; <data>; EXEC
MULTI; GET; EXEC
MULTI; <data>; EXEC x
EXEC x
MULTI; INCR h1; LPUSH s1 x; <data>; EXEC
MULTI; MULTI; WATCH s1; <data>; EXEC
MULTI; <blocking>; <data>; EXEC
MULTI; SELECT 1; <data>; SELECT 0; EXEC
MULTI; PUBLISH <c> x; <data>; SPUBLISH <c> y; EXEC
MULTI; SUBSCRIBE <c>; <data>; EXEC
MULTI; <script>; <data>; EXEC
MULTI; SWAPDB 0 1; <data>; EXEC
MULTI; FLUSHDB; <data>; EXEC
MULTI; HELLO {2|3}; <data>; EXEC
MULTI; CLIENT ID; CLIENT GETNAME; EXEC
MULTI; CLIENT TRACKING ON; GET s1; EXEC
MULTI; CONFIG GET maxmemory; <data>; EXEC
MULTI; DISCARD; EXEC
MULTI; <data>; RESET
MULTI; QUIT; EXEC
MULTI; AUTH bob pw; <data>; EXEC
MULTI; CLIENT UNBLOCK <who>; <data>; EXEC
MULTI; CLIENT KILL ID <who>; <data>; EXEC
MULTI; CLIENT NO-TOUCH ON; EXEC
MULTI; PING; ECHO x; TIME; EXEC
MULTI; WAIT 1 0; EXEC
MULTI; INFO nothing; <data>; EXEC
"""
_databases = """
SELECT {0|1|1|99|x}
SWAPDB 0 1
SWAPDB 0 0
MOVE <any> {0|1}
FLUSHDB
FLUSHALL {ASYNC|SYNC}
FLUSHDB ASYNC
COPY <any> <any> DB 1
SELECT 1; <data>; SELECT 0; <data>
DBSIZE
KEYS *
RANDOMKEY x
INFO keyspace
"""
_expiry = """
PEXPIRE <any> 20; ~70
SET <S> <v> PX 20; ~70
PEXPIRE <L> 20; BLPOP <L> <L> 0; ~70
PEXPIRE <any> 20; ~70; <data>
WATCH <any>; PEXPIRE <any> 20; ~70
HPEXPIRE <H> 20 FIELDS 1 f; ~70
DEBUG SET-ACTIVE-EXPIRE 0
DEBUG SET-ACTIVE-EXPIRE 1
PEXPIRE <any> 1; ~70; <data>
EXISTS <any> <any> <any>
GETEX <S> PX 20; ~70
RESTORE <any> 5 x
EXPIRE <any> 1000 {NX|XX|GT|LT}
PEXPIREAT <any> 1
"""
_pubsub = """
SUBSCRIBE <c>
SUBSCRIBE <c> <c>
PSUBSCRIBE <pat>
PSUBSCRIBE __key*
SSUBSCRIBE <c>
UNSUBSCRIBE
UNSUBSCRIBE <c>
PUNSUBSCRIBE
PUNSUBSCRIBE <pat>
SUNSUBSCRIBE
SUBSCRIBE __keyevent@0__:{expired|del|set|lpush|new}
SUBSCRIBE __keyspace@0__:<any>
CONFIG SET notify-keyspace-events {KEA|KEA|EA|KEAmn|Kg$lx|""}
CONFIG SET notify-keyspace-events KEAn
PUBLISH <c> <v>
PUBLISH <c> <v>; <data>; PUBLISH <c> <v>
SPUBLISH <c> <v>
EVAL redis.call('PUBLISH','c1','in');return(redis.call('SET',KEYS[1],'1')) 1 <S>
MULTI; PUBLISH <c> 1; <data>; PUBLISH <c> 2; EXEC
PUBSUB CHANNELS
PUBSUB NUMSUB c1 c2 n.a
PUBSUB NUMPAT
PUBSUB SHARDNUMSUB c1 c2
SUBSCRIBE c1; PUBLISH c1 own; <data>
RESET
HELLO {2|3}
PING
PING x
"""
_tracking = """
CLIENT TRACKING ON
CLIENT TRACKING ON
CLIENT TRACKING ON NOLOOP
CLIENT TRACKING OFF
CLIENT TRACKING ON BCAST
CLIENT TRACKING ON BCAST PREFIX s PREFIX l
CLIENT TRACKING ON BCAST NOLOOP PREFIX z
CLIENT TRACKING ON OPTIN
CLIENT TRACKING ON OPTOUT
CLIENT TRACKING ON REDIRECT <who>
CLIENT TRACKING ON BCAST REDIRECT <who>
SUBSCRIBE __redis__:invalidate
CLIENT CACHING {YES|NO}
CLIENT CACHING YES; GET <S>; LRANGE <L> 0 -1
CLIENT CACHING NO; MGET <S> <S>
CLIENT TRACKINGINFO
CLIENT GETREDIR
GET <S>
MGET <S> <S>
LRANGE <L> 0 -1; HGETALL <H>
ZRANGE <Z> 0 -1
XRANGE <X> - +
EXISTS <any> <any>
EVAL_RO return(redis.call('GET',KEYS[1])) 1 <S>
MULTI; GET <S>; GET <S>; EXEC
SET <S> <v>
MSET <S> <v> <S> <v>
DEL <any> <any>
FLUSHDB
FLUSHALL
GET <S>; SET <S> <v>; GET <S>
HELLO {2|3}
RESET
CLIENT KILL ID <who>
"""
_connection = """
CLIENT REPLY OFF
CLIENT REPLY ON
CLIENT REPLY SKIP
CLIENT REPLY SKIP; <data>; <data>
CLIENT REPLY OFF; <data>; <data>; CLIENT REPLY ON; <data>
CLIENT NO-TOUCH {ON|OFF}
CLIENT NO-EVICT {ON|OFF}
CLIENT SETNAME {n1|n2|""}
CLIENT GETNAME
CLIENT KILL ID <who>
CLIENT KILL ID <who> SKIPME no
CLIENT KILL TYPE pubsub
CLIENT KILL USER alice
CLIENT KILL TYPE normal SKIPME yes ID <who>
CLIENT LIST ID 0
CLIENT SETINFO lib-name x
READONLY
CLUSTER INFO
WAITAOF 0 0 0
CLIENT UNBLOCK <who>
CLIENT PAUSE 100000 WRITE
CLIENT UNPAUSE
CLIENT UNPAUSE; CLIENT PAUSE 30; <data>; ~120
CLIENT PAUSE 30 WRITE; <data>; ~120
RESET
RESET; <data>
HELLO {2|3}
HELLO {2|3}; <data>; HELLO {3|2}
HELLO 3 SETNAME n3
HELLO 4
HELLO 3 AUTH alice pw
QUIT
ECHO x
PING
CLIENT ID
CLIENT INFO
CLIENT LIST ID <who>
CLIENT LIST ID <who>
COMMAND GETKEYS <data>
COMMAND GETKEYS <blocking>
"""
_access = """
ACL SETUSER alice on >pw ~* &* +@all
ACL SETUSER alice on nopass ~l* ~s* resetchannels &c* +@all -flushall
ACL SETUSER alice -@all +get +blpop +client
ACL SETUSER alice +@all
ACL SETUSER alice resetkeys ~s*
ACL SETUSER alice allkeys
ACL SETUSER alice resetchannels &n*
ACL SETUSER alice allchannels
ACL SETUSER alice off
ACL SETUSER alice on -blpop -bzpopmin -xread
ACL SETUSER alice %R~* +@all
ACL SETUSER alice -exec
ACL SETUSER alice -@write
ACL SETUSER bob on >pw +@all ~*
ACL DELUSER alice
AUTH alice pw
AUTH alice pw
AUTH bob pw
AUTH alice wrong
ACL WHOAMI
AUTH alice pw; BLPOP <L> 0
AUTH alice pw; SUBSCRIBE c1 n.a
AUTH alice pw; MULTI; <data>
AUTH alice pw; CLIENT TRACKING ON; GET <S>
AUTH alice pw; EVAL return(redis.pcall('GET','z1')) 0
ACL DRYRUN alice <data>
ACL SETUSER alice clearselectors (+set ~s*) (+rpush ~l1)
ACL SETUSER alice nocommands +@read +multi +exec +eval
ACL GETUSER bob
RESET
"""
_scripts = """
<script>
<script>
FUNCTION LOAD REPLACE <lib>
FUNCTION LOAD <lib>
FCALL fr 1 <S>
FCALL_RO fr 1 <S>
FCALL fp 0 <data>
FCALL fp 0 <blocking>
FUNCTION DELETE lib
FUNCTION FLUSH
SCRIPT FLUSH
EVAL return(redis.call('GET',KEYS[1])) 1 <S>
EVAL return(redis.pcall('INCR',KEYS[1])) 1 <any>
EVAL redis.call('SET',KEYS[1],'1');error('x') 1 <S>
EVAL redis.setresp(3);return(redis.call('HGETALL',KEYS[1])) 1 <H>
EVAL redis.setresp(3);return(redis.call('ZRANGE',KEYS[1],0,-1,'WITHSCORES')) 1 <Z>
EVAL redis.call('SELECT',1);return(redis.call('SET',KEYS[1],'1')) 1 <S>
EVAL return(redis.call('FLUSHALL')) 0
EVAL return(redis.call('SWAPDB',0,1)) 0
EVAL return(redis.call('CLIENT','ID')) 0
EVAL return(redis.pcall('MULTI')) 0
EVAL return(redis.pcall('SUBSCRIBE','c1')) 0
EVAL_RO return(redis.call('SET',KEYS[1],'1')) 1 <S>
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
"""
_monitoring = """
MONITOR
MONITOR
RESET
<data>
<script>
MULTI; <data>; EXEC
SELECT 1; <data>
"""
_telling = """
INFO commandstats
INFO errorstats
INFO clients
INFO stats
INFO keyspace
CONFIG RESETSTAT
CONFIG SET slowlog-log-slower-than 0
SLOWLOG GET -1
SLOWLOG RESET
CONFIG SET slowlog-log-slower-than -1
LATENCY LATEST
LATENCY HISTOGRAM get set lpush eval exec multi blpop
OBJECT ENCODING <any>
OBJECT FREQ <any>
DEBUG OBJECT <any>
XINFO GROUPS <X>
XINFO CONSUMERS <X> g
XINFO STREAM <X>
NOSUCH x
GET
ACL LOG RESET
"""
_restraints = """
CONFIG SET maxmemory 1
CONFIG SET maxmemory 0
CONFIG SET min-replicas-to-write 1
CONFIG SET min-replicas-to-write 0
MULTI; <data>; <data>; EXEC
MULTI; GET <S>; EXEC
MULTI
EXEC
<script>
<script>
<data>
<blocking>
EVAL "#!lua flags=no-writes\\nreturn redis.call('GET',KEYS[1])" 1 <S>
EVAL "#!lua flags=allow-oom\\nreturn redis.call('SET',KEYS[1],'1')" 1 <S>
EVAL "#!lua\\nreturn redis.pcall('SET',KEYS[1],'1')" 1 <S>
CLIENT PAUSE 100000 WRITE
CLIENT UNPAUSE
DEL <any>
LPOP <L>
FLUSHALL
PUBLISH <c> <v>
INFO errorstats
INFO commandstats
"""
_script = """
EVAL return(redis.call(unpack(ARGV))) 0 <data>
EVAL return(redis.pcall(unpack(ARGV))) 0 <data>
EVAL return(redis.pcall(unpack(ARGV))) 0 <blocking>
EVAL redis.call('SET','s1','z');return(redis.call(unpack(ARGV))) 1 s1 <data>
EVAL local(a)=redis.pcall(unpack(ARGV));redis.call('INCR','s2');return(a) 0 <data>
"""

topics: dict[str, str] = {
    "blocking": _blocking, "waking": _waking, "transactions": _transactions, "databases": _databases, "expiry": _expiry,
    "pubsub": _pubsub, "tracking": _tracking, "connection": _connection, "access": _access, "scripts": _scripts,
    "monitoring": _monitoring, "telling": _telling, "restraints": _restraints,
}  # fmt: skip
_templates = {
    name: [line for line in text.strip().splitlines() if line.strip()]
    for name, text in {**topics, "data": _data, "script": _script}.items()
}
_together = {"blocking": "waking", "waking": "blocking"}

_atom = re.compile(r"<(\w+)>")
_choice = re.compile(r"(?<!\S)\{([^{}]*\|[^{}]*)\}|(?<==)\{([^{}]*\|[^{}]*)\}")


@dataclass
class Generator:
    """The steps of one random conversation."""

    random: random.Random
    step_count: int
    protocols: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)

    def make(self) -> Conversation:
        """A conversation of 3 to 5 connections about two to four topics and data."""
        names = "abcde"[: self.random.choice((3, 3, 4, 5))]
        self.protocols = {name: self.random.choice((2, 3)) for name in names}
        chosen = self.random.sample(list(topics), self.random.choice((1, 2, 3)))
        chosen += [_together[name] for name in chosen if name in _together]
        self.weights = dict.fromkeys(chosen, 2) | {"data": self.random.choice((2, 4))}
        steps = [Step(self.random.choice(names), self._line(self._topic())) for _ in range(self.step_count)]
        return Conversation(self.protocols, tuple(steps))

    def _topic(self) -> str:
        return self.random.choices(list(self.weights), list(self.weights.values()))[0]

    def _line(self, topic: str) -> str:
        count = self.random.choice((1, 1, 1, 1, 1, 2, 3)) if topic == "data" else 1
        return "; ".join(self._fill(self.random.choice(_templates[topic])) for _ in range(count))

    def _fill(self, template: str) -> str:
        while hit := _choice.search(template):
            word = self.random.choice((hit[1] or hit[2]).split("|"))
            template = template[: hit.start()] + word + template[hit.end() :]
        return _atom.sub(lambda hit: self._atom(hit[1]), template)

    def _atom(self, name: str) -> str:
        if name in ("data", "blocking", "script"):
            # One command, for it stands among others, and none that ends by time.
            lines = [line for line in _templates[name] if "~" not in line]
            return self._fill(self.random.choice(lines).partition("; ")[0])
        if name == "any" or (name in _keys and self.random.random() < 0.06):
            return self.random.choice(_any_key)
        if name in _keys:
            return self.random.choice(_keys[name])
        words = {"v": _values, "n": ("1", "2", "3"), "c": _channels, "pat": _patterns, "lib": (_library,),
                 "who": tuple(f"@{name}" for name in self.protocols)}  # fmt: skip
        return self.random.choice(words[name])
