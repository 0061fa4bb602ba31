"""Cluster mode with one node that owns every slot: its table of cases."""

CASES = r"""
# CLUSTER KEYSLOT hashes the tag of a key
% setting cluster-enabled yes
CLUSTER KEYSLOT k1
CLUSTER KEYSLOT {a}1
CLUSTER KEYSLOT a
CLUSTER KEYSLOT x{a}y{b}
CLUSTER KEYSLOT {}a
CLUSTER KEYSLOT {a
CLUSTER KEYSLOT a}
CLUSTER KEYSLOT {{a}}
CLUSTER KEYSLOT ""
CLUSTER KEYSLOT "\xff\x00"
CLUSTER KEYSLOT 123456789
CLUSTER KEYSLOT
CLUSTER KEYSLOT a b

# SORT reads no keys of other slots
% setting cluster-enabled yes
% not redis7: since Redis 7.4 patterns with the key's own tag are allowed
RPUSH {a}l 1 2
SORT {a}l BY w_*
SORT {a}l GET w_*
SORT_RO {a}l BY {b}*
SORT {a}l BY {a}* GET {a}* GET #
SORT {a}l BY nosort

# Keys in several slots are refused
% setting cluster-enabled yes
MSET k1 a k2 b
MGET k1 k2
DEL k1 k2
EXISTS k1 k2
RENAME k1 k2
SINTERSTORE {a}1 {a}2 {b}1
ZUNIONSTORE {a}1 2 {a}2 {b}1
LMOVE k1 k2 LEFT RIGHT
COPY k1 k2
SMOVE k1 k2 x
MSET {a}1 x {a}2 y
MGET {a}1 {a}2
DEL {a}1 {a}2
LMPOP 2 k1 k2 LEFT
LMPOP 2 {a}1 {a}2 LEFT
TOUCH k1 k2
UNLINK k1 k2
SINTERCARD 2 k1 k2
WATCH k1 k2

# A transaction over several slots is refused
% setting cluster-enabled yes
MULTI
SET k1 a
SET k2 b
EXEC
MULTI
SET {a}1 a
SET {a}2 b
EXEC
MULTI
MGET k1 k2
EXEC
GET {a}1

# Only database zero exists in cluster mode
% setting cluster-enabled yes
SELECT 0
SWAPDB 0 1
COPY {a}1 {a}2 DB 1

# MOVE does not exist in cluster mode
% setting cluster-enabled yes
% not valkey9: Valkey 9 has databases in cluster mode
MOVE k1 1

# Keys can be counted and listed by slot
% setting cluster-enabled yes
MSET {a}1 x {a}2 y
SET k1 z
CLUSTER COUNTKEYSINSLOT 15495
CLUSTER GETKEYSINSLOT 15495 10
CLUSTER GETKEYSINSLOT 15495 0
CLUSTER GETKEYSINSLOT 15495 -1
CLUSTER COUNTKEYSINSLOT 0
CLUSTER COUNTKEYSINSLOT -1
CLUSTER COUNTKEYSINSLOT 16384
CLUSTER COUNTKEYSINSLOT abc
CLUSTER GETKEYSINSLOT 16384 10
CLUSTER GETKEYSINSLOT abc 10
CLUSTER GETKEYSINSLOT 0 abc
CLUSTER GETKEYSINSLOT 0
CLUSTER COUNTKEYSINSLOT

# READONLY, READWRITE and ASKING are accepted
% setting cluster-enabled yes
READONLY
READWRITE
ASKING
GET k1
READONLY x
ASKING x

# CLUSTER describes itself
% setting cluster-enabled yes
CLUSTER INFO
CLUSTER MYID
CLUSTER NODES
CLUSTER LINKS
CLUSTER HELP
CLUSTER
CLUSTER INFO x
CLUSTER MYID x
CLUSTER SLOTS x
CLUSTER SHARDS x

# Keyless commands and scans work in cluster mode
% setting cluster-enabled yes
SET k1 a
SET k2 b
DBSIZE
KEYS *
SCAN 0 COUNT 1000
RANDOMKEY
FLUSHALL
DBSIZE
"""
