"""Ranges of members, on sorted sets whose scores are equal, under keys that no other family writes.

In a large sorted set with unequal scores the references find such a range by going down a skip list whose order is not that
of members: what they find, count and remove hangs on the chance heights of its nodes.
"""

GRAMMAR = """
ZADD {equal} <0 {member}>+
ZADD {equal} 0 a 0 b 0 c 0 d
ZADD {equal} (NX | XX | CH) <0 {member}>+
ZREM {equal} {member}+
ZLEXCOUNT {equal} {lex} {lex}
ZRANGE {equal} {lex} {lex} BYLEX [REV | LIMIT {int} {int} | WITHSCORES]
ZRANGEBYLEX {equal} {lex} {lex} [LIMIT {int} {int}]
ZREVRANGEBYLEX {equal} {lex} {lex} [LIMIT {int} {int}]
ZRANGESTORE {equal} {equal} {lex} {lex} BYLEX [REV | LIMIT {int} {int}]
ZREMRANGEBYLEX {equal} {lex} {lex}
ZPOPMIN {equal} {count}
SET {equal} {value}
"""
