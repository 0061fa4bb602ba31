"""One valid call a data command, so that loops over all commands have something to send.

Keys are written k1, k2 and k3; `test_examples` fails when a data command in scope has no example here.
"""

from __future__ import annotations

from tests.compat.script import split_arguments

_lines = """
APPEND k1 x
DECR k1
DECRBY k1 2
DELIFEQ k1 x
GET k1
GETDEL k1
GETEX k1 EX 1000
GETRANGE k1 0 1
GETSET k1 x
INCR k1
INCRBY k1 2
INCRBYFLOAT k1 1.5
LCS k1 k2
MGET k1 k2
MSET k1 x k2 y
MSETEX 2 k1 x k2 y
MSETNX k1 x k2 y
PSETEX k1 100000 x
SET k1 x
SETEX k1 1000 x
SETNX k1 x
SETRANGE k1 1 x
STRLEN k1
SUBSTR k1 0 1
HDEL k1 f
HEXISTS k1 f
HGET k1 f
HGETALL k1
HINCRBY k1 f 1
HINCRBYFLOAT k1 f 1.5
HKEYS k1
HLEN k1
HMGET k1 f g
HMSET k1 f v
HRANDFIELD k1 100
HSCAN k1 0
HSET k1 f v
HSETNX k1 f v
HSTRLEN k1 f
HVALS k1
LINDEX k1 0
LINSERT k1 BEFORE a x
LLEN k1
LMOVE k1 k2 LEFT RIGHT
LMPOP 2 k1 k2 LEFT
LPOP k1
LPOS k1 a
LPUSH k1 x
LPUSHX k1 x
LRANGE k1 0 -1
LREM k1 0 a
LSET k1 0 x
LTRIM k1 0 1
RPOP k1
RPOPLPUSH k1 k2
RPUSH k1 x
RPUSHX k1 x
SADD k1 x
SCARD k1
SDIFF k1 k2
SDIFFSTORE k3 k1 k2
SINTER k1 k2
SINTERCARD 2 k1 k2
SINTERSTORE k3 k1 k2
SISMEMBER k1 a
SMEMBERS k1
SMISMEMBER k1 a b
SMOVE k1 k2 a
SPOP k1 100
SRANDMEMBER k1 100
SREM k1 a
SSCAN k1 0
SUNION k1 k2
SUNIONSTORE k3 k1 k2
ZADD k1 1 x
ZCARD k1
ZCOUNT k1 -inf +inf
ZDIFF 2 k1 k2
ZDIFFSTORE k3 2 k1 k2
ZINCRBY k1 1 x
ZINTER 2 k1 k2
ZINTERCARD 2 k1 k2
ZINTERSTORE k3 2 k1 k2
ZLEXCOUNT k1 - +
ZMPOP 2 k1 k2 MIN
ZMSCORE k1 a b
ZPOPMAX k1
ZPOPMIN k1
ZRANDMEMBER k1 100
ZRANGE k1 0 -1
ZRANGEBYLEX k1 - +
ZRANGEBYSCORE k1 -inf +inf
ZRANGESTORE k3 k1 0 -1
ZRANK k1 a
ZREM k1 a
ZREMRANGEBYLEX k1 - +
ZREMRANGEBYRANK k1 0 0
ZREMRANGEBYSCORE k1 0 1
ZREVRANGE k1 0 -1
ZREVRANGEBYLEX k1 + -
ZREVRANGEBYSCORE k1 +inf -inf
ZREVRANK k1 a
ZSCAN k1 0
ZSCORE k1 a
ZUNION 2 k1 k2
ZUNIONSTORE k3 2 k1 k2
COPY k1 k2
DEL k1 k2
EXISTS k1 k2
EXPIRE k1 1000
EXPIREAT k1 4000000000
EXPIRETIME k1
KEYS k*
MOVE k1 1
PERSIST k1
PEXPIRE k1 1000000
PEXPIREAT k1 4000000000000
PEXPIRETIME k1
PTTL k1
RANDOMKEY
RENAME k1 k2
RENAMENX k1 k2
SCAN 0 COUNT 1000
TOUCH k1 k2
TTL k1
TYPE k1
UNLINK k1 k2
"""

EXAMPLES: dict[str, tuple[bytes, ...]] = {
    line.split()[0].lower(): split_arguments(line.encode()) for line in _lines.strip().splitlines()
}

# One small value of each type; a and b are members or fields of every collection.
VALUES: dict[str, tuple[bytes, ...]] = {
    "string": split_arguments(b"SET %s 10"),
    "list": split_arguments(b"RPUSH %s a b a"),
    "set": split_arguments(b"SADD %s a b"),
    "hash": split_arguments(b"HSET %s f v a 1"),
    "sorted set": split_arguments(b"ZADD %s 1 a 2 b"),
}


def value_at(kind: str, key: bytes) -> tuple[bytes, ...]:
    """The command that puts a value of a type under a key."""
    return tuple(key if word == b"%s" else word for word in VALUES[kind])
