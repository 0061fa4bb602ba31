"""The family of commands for keys of any type: its table of cases and its grammar."""

CASES = r"""
# DEL, UNLINK, EXISTS and TOUCH count keys
MSET k1 a k2 b {a}1 c
EXISTS k1 k2 nothing k1
TOUCH k1 nothing k1
DEL k1 nothing k1
UNLINK k2 {a}1 k2
EXISTS k1 k2
DEL
UNLINK
EXISTS
TOUCH

# TYPE names the type
SET k1 a
RPUSH k2 a
SADD k3 a
HSET k4 f v
ZADD k5 1 a
TYPE k1
TYPE k2
TYPE k3
TYPE k4
TYPE k5
TYPE nothing
TYPE

# EXPIRE and its kin set a time to live
SET k1 a
EXPIRE k1 1000
TTL k1
PEXPIRE k1 2000000
PTTL k1
EXPIREAT k1 4000000000
EXPIRETIME k1
PEXPIREAT k1 4000000000123
PEXPIRETIME k1
EXPIRETIME k1
PERSIST k1
PERSIST k1
TTL k1
PTTL k1
EXPIRETIME k1
PEXPIRETIME k1
EXPIRE nothing 100
PERSIST nothing
TTL nothing
PTTL nothing
EXPIRETIME nothing
PEXPIRETIME nothing

# A time to live that has passed removes the key
SET k1 a
EXPIRE k1 0
EXISTS k1
SET k1 a
EXPIRE k1 -1
EXISTS k1
SET k1 a
PEXPIRE k1 -100
EXISTS k1
SET k1 a
EXPIREAT k1 1
EXISTS k1
SET k1 a
PEXPIREAT k1 0
EXISTS k1

# EXPIRE refuses what does not fit
SET k1 a
EXPIRE k1 abc
EXPIRE k1 ""
EXPIRE k1 1.5
EXPIRE k1 9223372036854775807
EXPIRE k1 9223372036854775
EXPIRE k1 -9223372036854775808
EXPIRE k1 9223372036854775808
PEXPIRE k1 9223372036854775807
PEXPIRE k1 abc
EXPIREAT k1 9223372036854775807
EXPIREAT k1 abc
PEXPIREAT k1 abc
EXPIRE k1
EXPIRE nothing abc
TTL k1

# PEXPIREAT takes the largest moment
SET k1 a
PEXPIREAT k1 9223372036854775807
PEXPIRETIME k1

# EXPIRE obeys NX, XX, GT and LT
SET k1 a
EXPIRE k1 1000 XX
EXPIRE k1 1000 GT
TTL k1
EXPIRE k1 1000 NX
EXPIRE k1 2000 NX
EXPIRE k1 2000 GT
EXPIRE k1 1000 GT
EXPIRE k1 1000 LT
EXPIRE k1 2000 LT
EXPIRE k1 3000 XX
TTL k1
EXPIRE k1 100 XX LT
EXPIRE k1 5000 xx gt
TTL k1
PERSIST k1
EXPIRE k1 1000 LT
TTL k1
EXPIRE k1 1 NX XX
EXPIRE k1 1 GT LT
EXPIRE k1 1 NX GT
EXPIRE k1 1 NX LT
EXPIRE k1 1 WHAT
EXPIRE k1 1000 NX NX
EXPIRE k1 1 NX WHAT
EXPIRE nothing 1 NX
EXPIRE nothing 1 WHAT
PEXPIRE k1 900000 GT
EXPIREAT k1 4000000000 GT
PEXPIREAT k1 1 LT
EXISTS k1

# RENAME and RENAMENX move a value over slots
SET k1 a EX 1000
RENAME k1 {a}1
TTL {a}1
EXISTS k1
RENAME k1 k2
RENAMENX k1 k2
SET k2 b
RENAMENX {a}1 k2
RENAMENX {a}1 k3
RENAME k3 k2
GET k2
TTL k2
RENAME k2 k2
RENAMENX k2 k2
RPUSH l a b
RENAME l k2
LRANGE k2 0 -1
TTL k2
RENAME nothing nothing
RENAME k2
RENAME k2 a b

# COPY duplicates a value over slots and databases
SET k1 a EX 1000
COPY k1 {a}1
TTL {a}1
COPY k1 {a}1
COPY k1 {a}1 REPLACE
COPY k1 k1
COPY k1 k1 REPLACE
COPY nothing k2
COPY k1 k2 DB 1
COPY k1 k1 DB 1
COPY k1 k1 DB 1 REPLACE
COPY k1 k2 DB 16
COPY k1 k2 DB -1
COPY k1 k2 DB abc
COPY k1 k2 DB
COPY k1 k2 WHAT
COPY k1 k3 REPLACE DB 0
COPY k1 k1 DB 0
SELECT 1
GET k2
TTL k2
SELECT 0
RPUSH l 1 2 3
COPY l l2
RPUSH l2 4
LRANGE l 0 -1
SADD s 1 2 a
COPY s s2
SREM s2 a
SMEMBERS s
HSET h f v
COPY h h2
HSET h2 g w
HGETALL h
ZADD z 1 a
COPY z z2
ZADD z2 2 b
ZRANGE z 0 -1
COPY l k1
COPY l k1 REPLACE
TYPE k1
TTL k1

# A copy of a big collection is a collection of its own
RPUSH l @{1..600}
COPY l l2
LPOP l2 500
SADD s @{m:1..600}
COPY s s2
SREM s2 @{m:1..500}
HSET h @{f:v:1..600}
COPY h h2
HDEL h2 @{f:1..500}
ZADD z 1 seed
ZUNIONSTORE z 2 z s
COPY z z2
ZREMRANGEBYRANK z2 0 300
LLEN l
SCARD s
HLEN h
ZCARD z

# MOVE brings a key into another database
SET k1 a EX 1000
MOVE k1 1
EXISTS k1
SELECT 1
GET k1
TTL k1
MOVE k1 1
MOVE k1 0
SET k1 b
MOVE k1 0
SELECT 0
GET k1
MOVE nothing 1
MOVE k1 0
MOVE k1 16
MOVE k1 -1
MOVE k1 abc
MOVE k1 ""
MOVE k1 99999999999999999999
MOVE k1

# KEYS matches glob patterns
MSET k1 a k2 b k10 c {a}1 d "" e hello f hallo g hxllo h hllo i "a*b" j "\xff" k
KEYS *
KEYS k?
KEYS k*
KEYS h?llo
KEYS h[ae]llo
KEYS h[^a]llo
KEYS h[a-f]llo
KEYS h*llo
KEYS a\*b
KEYS nothing
KEYS ""
KEYS **
KEYS k[1-9]
KEYS k[1
KEYS [
KEYS {a}*
KEYS {*
KEYS *1*
KEYS \k1
KEYS "k1\\"
KEYS h[e-a]llo
KEYS h[]llo
KEYS h[\a]llo
KEYS ?
KEYS k1
KEYS {a}1
KEYS

# SCAN over a small keyspace finds everything
MSET k1 a k2 b {a}1 c
RPUSH l x
SCAN 0 COUNT 1000
SCAN 0 MATCH k* COUNT 1000
SCAN 0 TYPE string COUNT 1000
SCAN 0 TYPE list COUNT 1000
SCAN 0 COUNT 1000 TYPE STRING
SCAN 0 TYPE zset COUNT 1000 MATCH *
SCAN abc
SCAN -1 COUNT
SCAN 0 COUNT 0
SCAN 0 COUNT -1
SCAN 0 COUNT abc
SCAN 0 COUNT
SCAN 0 MATCH
SCAN 0 WHAT
SCAN 0 TYPE
SCAN
SCAN 0 COUNT 9223372036854775807
SCAN 0 COUNT 9223372036854775808
SCAN 18446744073709551616
SCAN 0 MATCH {a}1 COUNT 1000
SCAN 0 NOVALUES

# SCAN of an empty server ends at once
SCAN 0
SCAN 0 TYPE nothing

# RANDOMKEY names a key
RANDOMKEY
SET k1 a
RANDOMKEY
DEL k1
RANDOMKEY

# OBJECT looks inside
SET k1 1
SET k2 abc
OBJECT ENCODING k1
OBJECT REFCOUNT k2
OBJECT IDLETIME k1
OBJECT FREQ k1
OBJECT ENCODING nothing
OBJECT REFCOUNT nothing
OBJECT IDLETIME nothing
OBJECT FREQ nothing
OBJECT WHAT k1
OBJECT ENCODING
OBJECT ENCODING k1 k2
OBJECT
OBJECT HELP
OBJECT encoding k1

# a new value is a use of its key where uses are counted
CONFIG SET maxmemory-policy allkeys-lfu
SET k1 a
OBJECT FREQ k1
SET k1 bcd
OBJECT FREQ k1
MSET k2 a
MSET k2 b
OBJECT FREQ k2
HSET k3 f 1
HSET k3 f 2
OBJECT FREQ k3
SET k4 a EX 100
SET k4 b EX 100
OBJECT FREQ k4
CONFIG SET maxmemory-policy noeviction

# WAIT answers zero without replicas
WAIT 0 0
WAIT 0 100
WAIT 1 10
WAIT abc 10
WAIT 1 abc
WAIT 1 -1
WAIT 1
WAIT -1 10

# WAITAOF answers at once without an append only file
% not redis7: WAITAOF came with Redis 7.2
WAITAOF 0 0 0
WAITAOF 0 0 10
WAITAOF 1 0 0
WAITAOF 2 0 0
WAITAOF abc 0 0
WAITAOF 0 0 -1
WAITAOF 0 -1 0
WAITAOF 0 0

# Collections vanish when their last element does
RPUSH k1 a
LPOP k1
EXISTS k1
SADD k1 a
SREM k1 a
EXISTS k1
HSET k1 f v
HDEL k1 f
EXISTS k1
ZADD k1 1 a
ZREM k1 a
EXISTS k1
TYPE k1

# A write over another type replaces type and expiry only where the command says so
RPUSH k1 a
EXPIRE k1 1000
SET k1 b
TTL k1
RPUSH k2 a
EXPIRE k2 1000
RPUSH k2 b
TTL k2
HSET k3 f v
EXPIRE k3 1000
HSET k3 f w g x
TTL k3
SADD k4 a
EXPIRE k4 1000
SUNIONSTORE k4 k4
TTL k4

# RESTORE refuses what it cannot load
SET k1 a
RESTORE k1 0 broken
RESTORE k2 0 broken
RESTORE k2 -1 broken
RESTORE k2 abc broken
RESTORE k2 0 ""
RESTORE k2 0 broken WHAT
RESTORE k2 0 broken IDLETIME -1
RESTORE k2 0 broken FREQ 256
RESTORE k1 0 broken REPLACE
RESTORE-ASKING k2 0 broken
RESTORE-ASKING k1 0 broken
DUMP nothing
EXISTS k1 k2

# Numbers of databases beyond 32 bits are told from those beyond the last database
SET k1 a
MOVE k1 2147483648
MOVE k1 -2147483649
MOVE k1 2147483647
COPY k1 k2 DB 4294967296
COPY k1 k2 DB 16
SWAPDB 4294967296 1
SWAPDB 1 4294967296
SWAPDB 1 2147483647

# Cursors are read as strtoull does
SCAN -0
SCAN +0
SCAN 00
SCAN -1 x
SCAN -18446744073709551615 x
SCAN 18446744073709551616
SCAN " 0"
SCAN "0 "
SCAN ""
SCAN 0x0
SCAN -

# A container that was called alone or with an unknown subcommand does not stand for its subcommands
SET k1 1
OBJECT
OBJECT ENCODING k1
OBJECT NOSUCH k1
OBJECT ENCODING k1
OBJECT REFCOUNT nothing
"""

GRAMMAR = """
SET {key} {value} [EX {ttl} | KEEPTTL]
RPUSH {key} {value}+
SADD {key} {member}+
HSET {key} {field} {value}
ZADD {key} {score} {member}
DEL {key}+
UNLINK {key}+
EXISTS {key}+
TOUCH {key}+
TYPE {key}
EXPIRE {key} {ttl} [NX | XX | GT | LT]
PEXPIRE {key} {ttl} [NX | XX | GT | LT]
EXPIREAT {key} {at} [NX | XX | GT | LT]
PEXPIREAT {key} {at_ms} [NX | XX | GT | LT]
TTL {key}
PTTL {key}
EXPIRETIME {key}
PEXPIRETIME {key}
PERSIST {key}
RENAME {key} {key}
RENAMENX {key} {key}
COPY {key} {key} [REPLACE | DB {db}]
MOVE {key} {db}
KEYS {pattern}
SCAN 0 COUNT 1000 [MATCH {pattern} | TYPE (string | list | set | hash | zset)]
RANDOMKEY
OBJECT (ENCODING | IDLETIME | FREQ) {key}
SELECT {db}
DBSIZE
SWAPDB {db} {db}
FLUSHDB [ASYNC | SYNC]
"""
