"""Strings as only Valkey 9.1 has them: conditional SET and DEL, MSETEX. Its table is in `strings`; here is its grammar."""

GRAMMAR = """
SET {key} {value}
SET {key} {value} IFEQ {value} [GET | EX {ttl} | KEEPTTL | NX | XX]
SET {key} {value} [IFEQ {value} | NX | XX | GET | EX {ttl} | PXAT {at_ms} | KEEPTTL]
DELIFEQ {key} {value}
MSETEX {count} <{key} {value}>+ [NX | XX | EX {ttl} | PX {ttl} | EXAT {at} | PXAT {at_ms} | KEEPTTL]
MSETEX 1 {key} {value} [NX | XX | EX {ttl} | PX {ttl} | EXAT {at} | PXAT {at_ms} | KEEPTTL]
MSETEX 2 {key} {value} {key} {value} [NX | XX | EX {ttl} | KEEPTTL]
RPUSH {key} {value}
INCR {key}
GET {key}
TTL {key}
"""

_REASON = "only Valkey 9.1 has SET IFEQ, DELIFEQ and MSETEX"

GRAMMAR_NOT_WITH = {"redis7": _REASON, "redis8": _REASON}
