"""How many changes each writing command counts: what `rdb_changes_since_last_save` grows by, command by command.

A table of its own, for what is compared is that count; see `tests/compat/test_changes.py`.
"""

CHANGES = r"""
# Strings count one change a key
SET k1 a
SET k1 a
SET k1 b NX
SET nothing b XX
SET k1 b GET
SET k1 b EX 1000
SET k1 b KEEPTTL
SET k1 b PXAT 4000000000000
SETNX k1 a
SETNX k2 a
SETEX k1 1000 a
PSETEX k1 1000000 a
GETSET k1 b
GETDEL k1
GETDEL k1
APPEND k2 xyz
APPEND k2 ""
APPEND k9 ""
SETRANGE k2 1 ab
SETRANGE k2 1 ""
SETRANGE nothing 1 ""
INCR n
INCRBY n 5
INCRBY n 0
DECR n
DECRBY n 3
DECRBY n 0
INCRBYFLOAT n 1.5
INCRBYFLOAT n 0
INCR k2
MSET a 1 b 2 c 3
MSET a 1 a 2
MSETNX a 1 d 2
MSETNX e 1 f 2
GET a
MGET a b c

# GETEX counts a new or a removed expiry
SET k1 a
GETEX k1
GETEX k1 EX 1000
GETEX k1 EX 1000
GETEX k1 PERSIST
GETEX k1 PERSIST
GETEX nothing EX 1000
GETEX k1 EXAT 1
EXISTS k1

# Keys that are deleted count each
MSET a 1 b 2 c 3 d 4 e 5
DEL a nothing b
DEL nothing
UNLINK c d d
DEL c
RPUSH l 1 2 3
DEL l e

# RENAME, COPY and MOVE count one change
MSET a 1 b 2
RENAME a b
RENAME b b
RENAMENX b c
RENAMENX c c
SET a 1
RENAMENX a c
RENAME a c
COPY c d
COPY c d
COPY c d REPLACE
COPY c c DB 1
MOVE c 1
MOVE d 1
MOVE nothing 1
RPUSH l 1 2 3
RENAME l m
MOVE m 1

# Expiry counts one change when it is set or removed
SET k1 a
EXPIRE k1 1000
EXPIRE k1 1000
EXPIRE k1 2000 NX
EXPIRE k1 2000 XX
EXPIRE k1 1 GT
PEXPIRE k1 1000000
EXPIREAT k1 4000000000
PEXPIREAT k1 4000000000000
PERSIST k1
PERSIST k1
PERSIST nothing
EXPIRE nothing 10
EXPIRE k1 -1
EXISTS k1
RPUSH l 1 2 3
EXPIREAT l 1
EXISTS l

# A key that has expired counts no change when it goes
SET k1 a PXAT 4000000000000
DEBUG SET-ACTIVE-EXPIRE 0
SET k1 a PX 1
DEBUG SLEEP 0.01
DEL k1
SET k1 a PX 1
DEBUG SLEEP 0.01
GET k1
SET k1 a PX 1
DEBUG SLEEP 0.01
SADD k1 a b
DEL k1
SET k1 a PX 1
DEBUG SLEEP 0.01
RENAME k1 k2
SET k1 a PX 1
SET k2 a
DEBUG SLEEP 0.01
RENAME k2 k1
SET k2 a PX 1
DEBUG SLEEP 0.01
COPY k1 k2
SET k2 a PX 1
DEBUG SLEEP 0.01
SINTERSTORE k2 nothing
SET k2 a PX 1
DEBUG SLEEP 0.01
BITOP AND k2 nothing
SET k2 a PX 1
DEBUG SLEEP 0.01
SORT nothing STORE k2
SET k2 a PX 1
DEBUG SLEEP 0.01
ZRANGESTORE k2 nothing 0 -1
SET k2 a PX 1
DEBUG SLEEP 0.01
SET k2 b
SET k2 a PX 1
DEBUG SLEEP 0.01
PERSIST k2
SET k2 a PX 1
DEBUG SLEEP 0.01
EXPIRE k2 -1
SET k2 a PX 1
DEBUG SLEEP 0.01
GETDEL k2
SET k2 a PX 1
DEBUG SLEEP 0.01
SCAN 0
DEBUG SET-ACTIVE-EXPIRE 1

# Databases count their keys when they are emptied
MSET a 1 b 2 c 3
RPUSH l 1 2 3
FLUSHDB
FLUSHDB
MSET a 1 b 2
SELECT 1
MSET a 1 b 2 c 3
FLUSHALL
FLUSHALL
FLUSHALL SYNC
FLUSHDB SYNC
SWAPDB 0 1
SWAPDB 0 0
MSET a 1 b 2
SWAPDB 0 1

# Lists count elements
LPUSH k1 a b c
RPUSH k1 d
RPUSH k1 e f
LPUSHX k1 g h
RPUSHX k1 i
LPUSHX nothing a b
RPUSHX nothing a
LPOP k1
RPOP k1
LPOP k1 2
RPOP k1 0
LPOP nothing
LPOP nothing 2
LPOP k1 100
EXISTS k1
RPUSH k1 a
LPOP k1
RPUSH k1 a b a b a
LSET k1 0 a
LSET k1 0 z
LSET k1 100 z
LINSERT k1 BEFORE b x
LINSERT k1 AFTER nothing x
LINSERT nothing AFTER a x
LREM k1 0 b
LREM k1 0 b
LREM k1 1 z
LREM k1 0 a
LREM k1 0 x
EXISTS k1
RPUSH k1 @{e:1..10}
LTRIM k1 0 -1
LTRIM k1 0 100
LTRIM k1 1 -1
LTRIM k1 2 -3
LTRIM k1 -2 -1
LTRIM k1 5 1
EXISTS k1
LTRIM nothing 0 0
RPUSH big @{e:1..600}
LTRIM big 100 -200
LPOP big 250

# Moving an element counts one change
RPUSH k1 a b c d
LMOVE k1 k2 LEFT RIGHT
RPOPLPUSH k1 k2
LMOVE k1 k1 LEFT RIGHT
LMOVE k1 k1 LEFT LEFT
LMOVE nothing k1 LEFT LEFT
BLMOVE k1 k2 LEFT RIGHT 1
BRPOPLPUSH k1 k2 1
EXISTS k1
RPOPLPUSH k2 k2
LMPOP 2 k1 k2 LEFT
LMPOP 2 k1 k2 RIGHT COUNT 2
LMPOP 1 nothing LEFT
BLMPOP 1 1 k2 LEFT COUNT 5
RPUSH k1 a b c
BLPOP k1 1
BRPOP k1 1
BLMPOP 1 1 k1 LEFT

# Sets count members
SADD k1 a b c
SADD k1 a d
SADD k1 a b
SADD k1 x x x
SREM k1 a zzz
SREM k1 zzz
SREM k1 b b
SPOP k1
SPOP k1 1
SPOP k1 0
SPOP nothing
SPOP nothing 3
SPOP k1 100
EXISTS k1
SADD k1 @{m:1..300}
SPOP k1 10
SPOP k1 280
SREM k1 @{m:1..300}
EXISTS k1
SADD k1 a b
SADD k2 b c
SMOVE k1 k2 a
SMOVE k1 k2 b
SMOVE k1 k2 nothing
EXISTS k1
SMOVE k2 k2 a
SMOVE nothing k2 a

# What is stored of sets counts once
SADD k1 a b c
SADD k2 b c d
SUNIONSTORE k3 k1 k2
SINTERSTORE k3 k1 k2
SDIFFSTORE k3 k1 k2
SDIFFSTORE k3 k1 k1
SDIFFSTORE k3 k1 k1
SUNIONSTORE k3 nothing
SINTERSTORE k1 nothing
SUNIONSTORE k2 k2

# Hashes count fields
HSET k1 a 1
HSET k1 a 1 b 2 c 3
HSET k1 a 1
HMSET k1 d 4 e 5
HSETNX k1 a 1
HSETNX k1 f 1
HINCRBY k1 a 5
HINCRBY k1 a 0
HINCRBYFLOAT k1 a 1.5
HDEL k1 a nothing b
HDEL k1 nothing
HDEL k1 c c
HDEL k1 d e f
EXISTS k1
HDEL k1 a
HSET big @{f:v:1..600}
HDEL big @{f:1..500}

# Times of fields count fields
% not redis7: fields have no times there
HSET k1 a 1 b 2 c 3 d 4
HEXPIRE k1 1000 FIELDS 2 a b
HEXPIRE k1 1000 NX FIELDS 2 a c
HPEXPIRE k1 1000000 FIELDS 1 nothing
HEXPIREAT k1 4000000000 FIELDS 3 a b nothing
HPEXPIREAT k1 4000000000000 FIELDS 1 a
HPERSIST k1 FIELDS 2 a d
HPERSIST k1 FIELDS 1 nothing
HPERSIST nothing FIELDS 1 a
HEXPIRE nothing 10 FIELDS 1 a
HEXPIRE k1 0 FIELDS 1 a
HEXPIREAT k1 1 FIELDS 2 b c
HPEXPIREAT k1 1 FIELDS 1 d
EXISTS k1

# HGETDEL, HGETEX and HSETEX count fields
% not redis7: it came later
HSET k1 a 1 b 2 c 3 d 4
HGETDEL k1 FIELDS 2 a nothing
HGETDEL k1 FIELDS 1 nothing
HGETEX k1 FIELDS 1 b
HGETEX k1 EX 1000 FIELDS 2 b c
HGETEX k1 EX 1000 FIELDS 2 b nothing
HGETEX k1 PERSIST FIELDS 2 b c
HGETEX k1 PERSIST FIELDS 2 b c
HGETEX nothing EX 1000 FIELDS 1 a
HSETEX k1 FIELDS 2 x 1 y 2
HSETEX k1 EX 1000 FIELDS 2 x 1 y 2
HSETEX k1 FNX FIELDS 2 x 1 new 2
HSETEX k1 FXX FIELDS 2 x 1 y 2
HSETEX k2 EX 1000 FIELDS 1 x 1
HSETEX k1 EXAT 1 FIELDS 2 x 1 y 2
HSETEX k1 KEEPTTL FIELDS 2 x 1 y 2
HGETEX k1 EXAT 1 FIELDS 1 b
HGETDEL k1 FIELDS 4 c d x y
EXISTS k1
HGETDEL k2 FIELDS 1 x
EXISTS k2

# Sorted sets count members that come or change
ZADD k1 1 a 2 b 3 c
ZADD k1 1 a
ZADD k1 5 a 6 d
ZADD k1 NX 5 a 6 e
ZADD k1 XX 7 a 6 f
ZADD k1 XX CH 7 a
ZADD k1 GT 1 a
ZADD k1 LT 1 a 1 b
ZADD k1 INCR 1 a
ZADD k1 INCR 0 a
ZADD k1 NX INCR 1 a
ZADD k1 1 x 2 x
ZINCRBY k1 1 a
ZREM k1 a nothing
ZREM k1 nothing
ZREM k1 b c d e x
EXISTS k1
ZREM k1 a
ZADD k1 @{1:m:1..10}
ZPOPMIN k1
ZPOPMIN k1 2
ZPOPMAX k1 2
ZPOPMAX k1 0
ZPOPMIN nothing
ZMPOP 2 nothing k1 MIN COUNT 2
ZMPOP 1 nothing MIN
BZPOPMIN k1 1
BZPOPMAX k1 1
EXISTS k1
ZADD k1 1 a 2 b 3 c 4 d
BZMPOP 1 1 k1 MAX COUNT 10
EXISTS k1
ZADD k1 1 a
ZPOPMIN k1
ZADD k1 1 a
ZINCRBY k1 0 a

# Ranges that are removed count members
ZADD k1 1 a 2 b 3 c 4 d 5 e
ZREMRANGEBYRANK k1 0 1
ZREMRANGEBYRANK k1 10 20
ZREMRANGEBYSCORE k1 3 4
ZREMRANGEBYSCORE k1 100 200
ZREMRANGEBYLEX k1 - +
EXISTS k1
ZREMRANGEBYLEX k1 - +

# What is stored of sorted sets counts once
ZADD k1 1 a 2 b 3 c
ZADD k2 1 b 2 c 3 d
ZUNIONSTORE k3 2 k1 k2
ZINTERSTORE k3 2 k1 k2
ZDIFFSTORE k3 2 k1 k2
ZDIFFSTORE k3 2 k1 k1
ZDIFFSTORE k3 2 k1 k1
ZRANGESTORE k3 k1 0 1
ZRANGESTORE k3 k1 10 20
ZRANGESTORE k3 k1 10 20
ZUNIONSTORE k3 1 nothing

# Places count members, and stored ones all of them
GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
GEOADD g 13.361389 38.115556 Palermo
GEOADD g XX 13.5 38.115556 Palermo
GEOADD g XX CH 13.6 38.115556 Palermo
GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km
GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 400 km
GEORADIUS g 15 37 400 km STORE d
GEORADIUS g 15 37 400 km
GEORADIUSBYMEMBER g Palermo 400 km STOREDIST d
GEOSEARCHSTORE d g FROMLONLAT 0 0 BYRADIUS 1 km
GEOSEARCHSTORE d g FROMLONLAT 0 0 BYRADIUS 1 km
GEOSEARCHSTORE d nothing FROMLONLAT 0 0 BYRADIUS 1 km

# Sorting into a list counts its elements
RPUSH k1 3 1 2
SORT k1
SORT k1 STORE k2
SORT k1 LIMIT 0 2 STORE k2
SORT k1 GET # GET # STORE k2
SORT nothing STORE k2
SORT nothing STORE k2

# Bits count when they change
SETBIT k1 5 1
SETBIT k1 5 1
SETBIT k1 5 0
SETBIT k1 100 0
SETBIT k1 1000 0
SETBIT k2 5 0
SETBIT k2 5 0
BITFIELD k1 GET u8 0
BITFIELD k1 SET u8 0 5
BITFIELD k1 SET u8 0 5
BITFIELD k1 SET u8 0 6 SET u8 8 5
BITFIELD k1 INCRBY u8 0 1
BITFIELD k1 INCRBY u8 0 0
BITFIELD k1 SET u8 0 1 GET u8 0 SET u8 0 1
BITFIELD k1 OVERFLOW FAIL INCRBY u2 0 10
BITFIELD k3 SET u8 0 0
BITFIELD k3 SET u8 0 0
BITFIELD k4 GET u8 0
BITFIELD k4 SET u8 1000 0
BITOP AND k5 k1 k2
BITOP AND k5 nothing
BITOP AND k5 nothing

# HyperLogLogs count registers, and a new key one more
PFADD k1
PFADD k1
PFADD k1 a
PFADD k1 a
PFADD k1 a b c
PFADD k2 a b
PFADD k3 @{e:1..100}
PFADD k3 @{e:50..150}
PFMERGE k4 k1 k2
PFMERGE k4 k1 k2
PFMERGE k5
PFMERGE k1
PFCOUNT k1
PFCOUNT k1
PFADD k1 z
PFCOUNT k1
PFCOUNT k1 k2
PFDEBUG TODENSE k1
PFDEBUG TODENSE k1
PFDEBUG GETREG k2
PFDEBUG DECODE k4

# Streams count entries
XADD s 1-1 a 1
XADD s 1-2 a 1
XADD s NOMKSTREAM 1-3 a 1
XADD nothing NOMKSTREAM * a 1
XADD s MAXLEN 2 1-4 a 1
XADD s 1-5 a 1
XADD s 1-6 a 1
XDEL s 1-5 9-9
XDEL s 9-9
XDEL s 1-4 1-6
XDEL s 1-4
XTRIM s MAXLEN 0
XTRIM s MAXLEN 0
XADD s 2-1 a 1
XADD s 2-2 a 1
XADD s 2-3 a 1
XTRIM s MAXLEN 1
XTRIM s MINID 2-1
XTRIM s MAXLEN ~ 1000
XSETID s 3-0
XSETID s 4-0 ENTRIESADDED 100 MAXDELETEDID 2-2
XTRIM nothing MAXLEN 1

# Groups count what is made and removed
XADD s 1-1 a 1
XGROUP CREATE s g 0
XGROUP CREATE s g 0
XGROUP CREATE n g $ MKSTREAM
XGROUP SETID s g 0
XGROUP CREATECONSUMER s g bob
XGROUP CREATECONSUMER s g bob
XGROUP DELCONSUMER s g bob
XGROUP DELCONSUMER s g nobody
XGROUP DESTROY s g
XGROUP DESTROY s g
XGROUP CREATE s g 0
XREADGROUP GROUP g bob STREAMS s >
XGROUP DELCONSUMER s g bob

# Reading in groups counts entries and consumers
% not redis7: it makes no consumer for a read that finds nothing
XADD s 1-1 a 1
XADD s 1-2 a 1
XADD s 1-3 a 1
XADD s 1-4 a 1
XADD s 1-5 a 1
XADD t 1-1 a 1
XADD t 1-2 a 1
XGROUP CREATE s g 0
XGROUP CREATE t g 0
XREADGROUP GROUP g bob COUNT 1 STREAMS s >
XREADGROUP GROUP g bob COUNT 1 STREAMS s >
XREADGROUP GROUP g bob COUNT 2 STREAMS s t > >
XREADGROUP GROUP g ann COUNT 10 STREAMS s t > >
XREADGROUP GROUP g bob STREAMS s >
XREADGROUP GROUP g eve STREAMS s >
XREADGROUP GROUP g eve STREAMS s >
XADD s 1-6 a 1
XADD s 1-7 a 1
XREADGROUP GROUP g bob NOACK STREAMS s >
XADD s 1-8 a 1
XREADGROUP GROUP g max NOACK STREAMS s >
XACK s g 1-1 1-2 9-9
XACK s g 9-9
XACK nothing g 1-1
XACK s g 1-3

# Reading again in groups counts nothing in Redis
% not redis7: it counts
% not valkey9: it counts
XADD s 1-1 a 1
XGROUP CREATE s g 0
XREADGROUP GROUP g bob STREAMS s >
XREADGROUP GROUP g bob STREAMS s 0
XREADGROUP GROUP g bob STREAMS s 1-1
XREADGROUP GROUP g new STREAMS s 0

# Claims count entries and what comes with them
% not redis7: it makes no consumer for a claim that finds nothing
XADD s 1-1 a 1
XADD s 1-2 a 1
XADD s 1-3 a 1
XADD s 1-4 a 1
XGROUP CREATE s g 0
XREADGROUP GROUP g bob STREAMS s >
XCLAIM s g ann 0 1-1
XCLAIM s g ann 0 1-1 1-2
XCLAIM s g ann 1000000 1-1
XCLAIM s g ann 0 9-9
XCLAIM s g new 1000000 1-1
XCLAIM s g ann 0 1-3 JUSTID
XCLAIM s g ann 0 1-3 LASTID 9-9
XCLAIM s g ann 1000000 1-3 LASTID 10-9
XCLAIM s g ann 1000000 1-3 LASTID 5-9
XACK s g 1-4
XCLAIM s g bob 0 1-4
XCLAIM s g bob 0 1-4 FORCE
XDEL s 1-2
XCLAIM s g bob 0 1-2
XCLAIM s g bob 0 1-1 1-2 1-3 IDLE 0
XAUTOCLAIM s g ann 0 0
XAUTOCLAIM s g ann 0 0 COUNT 1
XAUTOCLAIM s g ann 1000000 0
XAUTOCLAIM s g x 1000000 0
XDEL s 1-1
XAUTOCLAIM s g ann 0 0
XAUTOCLAIM s g ann 0 0 JUSTID
XAUTOCLAIM s g y 0 9-9

# RESTORE counts one change
SET k1 a
RESTORE k2 0 "\x00\x01a\n\x00\x87\xe8\xdb\xfd\xb4\xda\x16\xd0"
RESTORE k2 0 "garbage"

# A transaction counts what its commands count
MULTI
SET a 1
RPUSH l 1 2 3
LTRIM l 0 0
DEL a
HSET h a 1 b 2
HDEL h a b
EXEC
MULTI
GET a
EXEC

# Valkey's conditions count as they set and delete
% only valkey9
SET k1 a
SET k1 b IFEQ x
SET k1 b IFEQ a
DELIFEQ k1 x
DELIFEQ k1 b
MSETEX 2 k1 a k2 b
MSETEX 2 k1 a k2 b EX 1000
MSETEX 2 k1 a k3 b NX
MSETEX 2 k1 a k1 b

# Debugging commands count as they change
RPUSH l 1 2 3
DEBUG OBJECT l
OBJECT ENCODING l
TOUCH l
DUMP l
"""

# The last command serves the second connection's, which waits.
SERVED = r"""
# A push serves BLPOP
% not redis7: it serves who waits without a count of its own
2> BLPOP k1 20
RPUSH k1 a

# A push of several serves BRPOP
% not redis7: it serves who waits without a count of its own
2> BRPOP k1 20
RPUSH k1 a b c

# A push serves BLMPOP
2> BLMPOP 20 1 k1 LEFT COUNT 2
RPUSH k1 a b c

# A push serves BLMOVE
% not redis7: it serves who waits without a count of its own
2> BLMOVE k1 k2 LEFT RIGHT 20
RPUSH k1 a

# A push serves BRPOPLPUSH
% not redis7: it serves who waits without a count of its own
2> BRPOPLPUSH k1 k2 20
LPUSH k1 a b

# A new member serves BZPOPMIN
2> BZPOPMIN k1 20
ZADD k1 1 a

# New members serve BZPOPMAX
2> BZPOPMAX k1 20
ZADD k1 1 a 2 b 3 c

# New members serve BZMPOP
2> BZMPOP 20 1 k1 MIN COUNT 2
ZADD k1 1 a 2 b 3 c

# A renamed list serves BLPOP
% not redis7: it serves who waits without a count of its own
RPUSH k2 a b
2> BLPOP k1 20
RENAME k2 k1

# A stored sorted set serves BZPOPMIN
ZADD k2 1 a 2 b
2> BZPOPMIN k1 20
ZUNIONSTORE k1 1 k2

# A new entry serves XREADGROUP of a new consumer
XGROUP CREATE s g 0 MKSTREAM
2> XREADGROUP GROUP g bob BLOCK 20000 STREAMS s >
XADD s 1-1 a 1

# A new entry serves XREAD
2> XREAD BLOCK 20000 STREAMS s $
XADD s 1-1 a 1
"""
