"""Fields of hashes that expire: Redis 8.0 and Valkey 9.1 have them."""

CASES = r"""
# HEXPIRE and its kin set a time to live for fields
% not redis7: fields never expire in it
HSET k1 f1 a f2 b f3 c
HEXPIRE k1 1000 FIELDS 2 f1 nothing
HTTL k1 FIELDS 3 f1 f2 nothing
HPEXPIRE k1 100000000 NX FIELDS 2 f1 f2
HPTTL k1 FIELDS 1 f3
HEXPIREAT k1 4000000000 XX FIELDS 1 f1
HEXPIRETIME k1 FIELDS 2 f1 f3
HPEXPIREAT k1 5000000000000 GT FIELDS 1 f1
HPEXPIRETIME k1 FIELDS 1 f1
HPEXPIREAT k1 5000000000000 LT FIELDS 1 f1
HPERSIST k1 FIELDS 3 f1 f3 nothing
HTTL k1 FIELDS 1 f1
HGETALL k1

# HEXPIRE with a moment that has passed removes the field
% not redis7: fields never expire in it
HSET k1 f1 a f2 b
HPEXPIREAT k1 1 FIELDS 1 f1
HGETALL k1
HEXPIRE k1 0 FIELDS 1 f2
EXISTS k1

# HEXPIRE refuses what makes no sense
% not redis7: fields never expire in it
% not valkey9: in other words
HSET k1 f1 a
HEXPIRE k1 abc FIELDS 1 f1
HEXPIRE k1 1000 FIELDS 0 f1
HEXPIRE k1 1000 FIELDS 2 f1
HEXPIRE k1 1000
HTTL k1 FIELDS 2 f1
SET k2 a
HEXPIRE k2 1000 FIELDS 1 f1
HTTL k2 FIELDS 1 f1
HPERSIST k2 FIELDS 1 f1

# Writing a field takes its time to live away
% not redis7: fields never expire in it
HSET k1 f1 a f2 b
HEXPIRE k1 1000 FIELDS 2 f1 f2
HSET k1 f1 c
HTTL k1 FIELDS 2 f1 f2
HINCRBY k1 f3 1
HDEL k1 f2
HGETALL k1

# HGETEX reads and sets a time to live
% not redis7: it has no HGETEX
HSET k1 f1 a f2 b
HGETEX k1 EX 1000 FIELDS 2 f1 nothing
HTTL k1 FIELDS 2 f1 f2
HGETEX k1 PERSIST FIELDS 1 f1
HTTL k1 FIELDS 1 f1
HGETEX k1 EXAT 4000000000 FIELDS 1 f2
HEXPIRETIME k1 FIELDS 1 f2
HGETEX nothing FIELDS 1 f1

# HSETEX sets fields with a time to live
% not redis7: it has no HSETEX
HSETEX k1 EX 1000 FIELDS 2 f1 a f2 b
HTTL k1 FIELDS 2 f1 f2
HSETEX k1 FNX FIELDS 1 f1 c
HSETEX k1 FXX KEEPTTL FIELDS 1 f1 d
HTTL k1 FIELDS 1 f1
HSETEX k1 FIELDS 1 f1 e
HTTL k1 FIELDS 1 f1
HGETALL k1

# HSETEX asks for the key as well as for fields
% only valkey9: NX and XX came with Valkey 9.1
HSETEX k1 XX FIELDS 1 a 1
EXISTS k1
HSETEX k1 nx EX 1000 FNX FIELDS 1 a 1
HSETEX k1 NX FIELDS 1 a 2
HSETEX k1 NX FNX FIELDS 1 b 2
HGET k1 a
HSETEX k1 XX FNX FIELDS 1 a 2
HSETEX k1 KEEPTTL FXX XX FIELDS 1 a 2
HTTL k1 FIELDS 1 a
HSETEX k1 XX XX FIELDS 1 a 3
HTTL k1 FIELDS 1 a
HSETEX k1 NX XX FIELDS 1 a 3
HSETEX k2 NX EX 0 FIELDS 1 a 1
EXISTS k2
SET s v
HSETEX s NX FIELDS 1 a 1

# HGETEX and HSETEX miss arguments before they read the number of fields
% not redis7: it has neither
% not valkey9: in other words
HGETEX k1 EX 10 WHAT
HGETEX k1 EX 10 FIELDS
HGETEX k1 EX 10 FIELDS x
HSETEX k1 FNX FIELDS x f
HSETEX k1 FNX EX 5 FIELDS x
HSETEX k1 FNX EX 5 FIELDS x f v
HSETEX k1 FNX FIELDS 2 f v
"""

GRAMMAR = """
HSET {key} <{field} {value}>+
HSET {key} f1 a f2 b f3 c
HEXPIRE {key} {field_ttl} [NX | XX | GT | LT] FIELDS 1 {field}
HPEXPIRE {key} {field_ttl} [NX | XX | GT | LT] FIELDS 2 {field} {field}
HEXPIREAT {key} {field_at} [NX | XX | GT | LT] FIELDS 1 {field}
HPEXPIREAT {key} {field_at_ms} [NX | XX | GT | LT] FIELDS 2 {field} {field}
HEXPIREAT {key} {field_at} FIELDS {count} {field}+
HTTL {key} FIELDS {count} {field}+
HPTTL {key} FIELDS 2 {field} {field}
HEXPIRETIME {key} FIELDS 2 {field} {field}
HPEXPIRETIME {key} FIELDS 2 {field} {field}
HPERSIST {key} FIELDS {count} {field}+
HPERSIST {key} FIELDS 1 {field}
HGETEX {key} [EX {field_ttl} | PX {field_ttl} | EXAT {field_at} | PXAT {field_at_ms} | PERSIST] FIELDS 1 {field}
HGETEX {key} FIELDS {count} {field}+
HSETEX {key} [FNX | FXX | EX {field_ttl} | PX {field_ttl} | EXAT {field_at} | PXAT {field_at_ms} | KEEPTTL] FIELDS 1 {field} {value}
HSETEX {key} FIELDS {count} <{field} {value}>+
HGETALL {key}
HLEN {key}
HINCRBY {key} {field} 1
HDEL {key} {field}
COPY {key} {key} REPLACE
SET {key} {value}
"""

GRAMMAR_NOT_WITH = {"redis7": "fields never expire in it"}
