"""The family of transactions: its table of cases and its grammar."""

CASES = r"""
# EXEC answers every queued command in order
MULTI
SET k1 a
INCR k2
RPUSH {a}1 x y
LRANGE {a}1 0 -1
GET nothing
EXEC
GET k1

# INFO inside a transaction counts what came before it and nothing else
% only redis8
MULTI
INFO keyspace
SET k1 a
INFO keyspace
SET k2 b EX 1000
DEL k1
SELECT 2
SET k3 c
INFO keyspace
EXEC
DBSIZE
DEL k3

# Writes are refused while fewer replicas keep up than they need
CONFIG SET min-replicas-to-write 2
SET k1 a
GET k1
DEL k1 k2
EXPIRE k1 5
INCR k1
BLPOP k1 1
PFCOUNT k1
OBJECT ENCODING k1
XREADGROUP GROUP g c STREAMS k1 >
NOSUCHCOMMAND
SET k1
MULTI
GET k1
SET k1 a
GET k1
EXEC
MULTI
GET k1
EXEC
CONFIG SET min-replicas-max-lag 0
SET k1 a
CONFIG SET min-replicas-max-lag 10
SET k1 b
CONFIG SET min-slaves-to-write 0
SET k1 c
MULTI
SET k1 d
2> CONFIG SET min-slaves-to-write 1
EXEC
MULTI
CONFIG SET min-replicas-to-write 0
SET k1 e
EXEC
CONFIG SET min-slaves-to-write 0
GET k1
CONFIG GET min-slaves-*

# A parameter that a transaction changes is in force for the commands after it
MULTI
CONFIG SET hash-max-listpack-entries 2
HSET h1 a 1 b 2 c 3
CONFIG GET hash-max-listpack-entries
CONFIG SET hash-max-listpack-entries 512
HSET h2 a 1 b 2 c 3
OBJECT ENCODING h1
OBJECT ENCODING h2
EXEC

# Errors of control commands leave the rest of a transaction in force
MULTI
SET k1 a
CONFIG SET no-such-parameter 1
INCR k1
CONFIG SET maxmemory nonsense
CONFIG GET no-such-parameter
GET k1
EXEC

# Whether there is room for its scripts is looked at when a transaction begins, but a limit that it lifts holds no longer
% not redis7: it refuses scripts before they are queued
CONFIG SET maxmemory 1
MULTI
CONFIG SET maxmemory 0
EVAL "return redis.call('SET', KEYS[1], 'a')" 1 k1
EXEC
CONFIG SET maxmemory 1
MULTI
CONFIG SET maxmemory 2
EVAL "return redis.pcall('SET', KEYS[1], 'b')" 1 k1
EXEC
CONFIG SET maxmemory 0
GET k1

# A transaction with control commands watches keys
SET k1 a
WATCH k1
2> SET k1 b
MULTI
CONFIG GET databases
SET k1 c
EXEC
GET k1
WATCH k1
MULTI
CONFIG GET databases
SET k1 d
EXEC
GET k1

# A transaction with control commands selects databases, and stays in the last one
MULTI
SELECT 1
SET k1 a
SELECT 99
CONFIG GET databases
GET k1
SELECT 2
PING hello
CLIENT GETNAME
GET k1
ECHO x
EXEC
SELECT 1
GET k1

# A blocking command inside a transaction with control commands waits for nothing
MULTI
CONFIG GET databases
BLPOP nothing 0
RPUSH l1 a
BLPOP l1 0
EXEC

# The keys of a slot are counted between the commands of a transaction
% setting cluster-enabled yes
MULTI
CLUSTER COUNTKEYSINSLOT 15495
SET {a}1 a
CLUSTER COUNTKEYSINSLOT 15495
CLUSTER GETKEYSINSLOT 15495 10
SET {a}2 a
CLUSTER COUNTKEYSINSLOT 15495
DEL {a}1 {a}2
CLUSTER COUNTKEYSINSLOT 15495
CLUSTER KEYSLOT {a}1
EXEC

# An empty transaction answers an empty array
MULTI
EXEC
MULTI
DISCARD
EXEC

# EXEC, DISCARD and a nested MULTI out of place are errors
EXEC
DISCARD
MULTI x
EXEC x
DISCARD x

# A nested MULTI is refused and the transaction goes on
% not valkey9: in Valkey 9.1 a nested MULTI aborts the transaction
MULTI
MULTI
SET k1 a
EXEC

# DISCARD forgets what was queued
MULTI
SET k1 a
DISCARD
EXISTS k1
GET k1

# An error while queueing aborts the transaction
MULTI
SET k1 a
SET k1
EXEC
EXISTS k1
MULTI
NOSUCHCOMMAND
SET k1 b
EXEC
EXISTS k1
MULTI
GET
DISCARD
SET k1 c

# An error while running leaves the other commands in force
MULTI
SET k1 a
INCR k1
LPUSH k1 x
SET k2 b
EXEC
MGET k1 k2

# WATCH lets EXEC fail after another client wrote
SET k1 a
WATCH k1
2> SET k1 b
MULTI
SET k1 c
EXEC
GET k1
MULTI
SET k1 d
EXEC

# WATCH of an untouched key does no harm
SET k1 a
WATCH k1
2> SET k2 b
MULTI
SET k1 c
EXEC
GET k1

# WATCH notices the connection's own writes
WATCH k1
SET k1 a
MULTI
PING
EXEC

# UNWATCH forgets the watched keys
WATCH k1 {a}1
2> SET {a}1 b
UNWATCH
MULTI
SET k1 c
EXEC

# DISCARD and EXEC forget the watched keys
WATCH k1
MULTI
DISCARD
2> SET k1 b
MULTI
GET k1
EXEC
WATCH k1
MULTI
EXEC
2> SET k1 c
MULTI
GET k1
EXEC

# WATCH notices deletion, creation and every other kind of change
SET k1 a
WATCH k1
2> DEL k1
MULTI
PING
EXEC
WATCH nothing
2> SET nothing x
MULTI
PING
EXEC
RPUSH l a
WATCH l
2> LPOP l
MULTI
PING
EXEC
SET k1 a
WATCH k1
2> EXPIRE k1 100
MULTI
PING
EXEC
WATCH k1
2> RENAME k1 k2
MULTI
PING
EXEC
WATCH k3
2> COPY k2 k3
MULTI
PING
EXEC

# WATCH does not notice commands that change nothing
SET k1 a
WATCH k1
2> GET k1
2> SETNX k1 b
2> APPEND k2 x
2> SREM k9 x
2> DEL k8
MULTI
PING
EXEC
WATCH nothing
2> DEL nothing
MULTI
PING
EXEC
SADD s a
WATCH s
2> SADD s a
2> SREM s zzz
MULTI
PING
EXEC

# WATCH notices an equal value that was written again
SET k1 a
WATCH k1
2> SET k1 a
MULTI
PING
EXEC

# FLUSHDB, FLUSHALL and SWAPDB touch watched keys
SET k1 a
WATCH k1
2> FLUSHALL
MULTI
PING
EXEC
WATCH nothing
2> FLUSHDB
MULTI
PING
EXEC
SET k1 a
WATCH k1
2> SWAPDB 0 1
MULTI
PING
EXEC

# A key of the same name in another database is another key
WATCH k1
2> SELECT 1
2> SET k1 x
MULTI
PING
EXEC
SELECT 1
WATCH k1
SELECT 0
2> SET k1 y
MULTI
PING
EXEC

# WATCH inside MULTI is refused and the transaction goes on
% not valkey9: in Valkey 9.1 it aborts the transaction
MULTI
SET k1 a
WATCH k1
EXEC
WATCH
MULTI
UNWATCH
EXEC

# SELECT, PING and ECHO can be queued
MULTI
SELECT 1
SET k1 a
PING
PING hello
ECHO x
SELECT 0
GET k1
EXEC
GET k1
MULTI
SELECT 1
EXEC
GET k1

# A flush inside a transaction takes what came before it
SET k1 a
MULTI
SET k2 b
FLUSHALL
SET k3 c
DBSIZE
EXEC
KEYS *

# A transaction spans slots, types and databases
MULTI
MSET k1 a k2 b {a}1 c
RENAME k1 k5
COPY k2 k6
SADD s1 a b
SADD s2 b c
SINTERSTORE s3 s1 s2
SMEMBERS s3
RPUSH l1 x y z
LMOVE l1 l2 LEFT RIGHT
ZADD z 1 a
ZUNIONSTORE z2 2 z s1
MOVE k2 1
EXEC

# RESET leaves a transaction
MULTI
SET k1 a
RESET
GET k1
EXEC

# Commands are checked for arity when they are queued
MULTI
GET a b c
EXEC
MULTI
set k1
EXEC
MULTI
CONFIG NOSUCH
EXEC
MULTI
CONFIG
EXEC

# HELLO inside a transaction is queued and run
MULTI
HELLO
EXEC
PING

# A watched key that expired counts as changed only if it was alive
SET k1 a PXAT 1
WATCH k1
MULTI
PING
EXEC

# SWAPDB that brings an expired key where there was none changes nothing
DEBUG SET-ACTIVE-EXPIRE 0
2> SELECT 1
2> SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> SWAPDB 0 1
MULTI
PING
EXEC
DEBUG SET-ACTIVE-EXPIRE 1

# SWAPDB that brings an expired key for an expired one changes nothing
DEBUG SET-ACTIVE-EXPIRE 0
SET k1 a PX 1
2> SELECT 1
2> SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> SWAPDB 0 1
MULTI
PING
EXEC
DEBUG SET-ACTIVE-EXPIRE 1

# SWAPDB that takes an expired key away changes nothing
DEBUG SET-ACTIVE-EXPIRE 0
SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> SWAPDB 0 1
MULTI
PING
EXEC
DEBUG SET-ACTIVE-EXPIRE 1

# SWAPDB that brings a key for an expired one changes it
DEBUG SET-ACTIVE-EXPIRE 0
SET k1 a PX 1
2> SELECT 1
2> SET k1 a
DEBUG SLEEP 0.01
WATCH k1
2> SWAPDB 0 1
MULTI
PING
EXEC
DEBUG SET-ACTIVE-EXPIRE 1

# SWAPDB that brings an expired key for a living one changes it
DEBUG SET-ACTIVE-EXPIRE 0
SET k1 a
2> SELECT 1
2> SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> SWAPDB 0 1
MULTI
PING
EXEC
DEBUG SET-ACTIVE-EXPIRE 1

# SWAPDB that brings a key where there was none changes it
DEBUG SET-ACTIVE-EXPIRE 0
2> SELECT 1
2> SET k1 a
DEBUG SLEEP 0.01
WATCH k1
2> SWAPDB 0 1
MULTI
PING
EXEC
DEBUG SET-ACTIVE-EXPIRE 1

# What SWAPDB has brought expired may go and come again
DEBUG SET-ACTIVE-EXPIRE 0
2> SELECT 1
2> SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> SWAPDB 0 1
2> SWAPDB 0 1
MULTI
PING
EXEC
WATCH k1
2> SWAPDB 0 1
2> SELECT 0
2> GET k1
MULTI
PING
EXEC
2> SELECT 1
2> SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> SWAPDB 0 1
2> SELECT 0
2> SET k1 b
MULTI
PING
EXEC
DEBUG SET-ACTIVE-EXPIRE 1

# A watched key that had expired may be removed
DEBUG SET-ACTIVE-EXPIRE 0
SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> GET k1
MULTI
PING
EXEC
SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> DEL k1
MULTI
PING
EXEC
SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> GET k1
2> SET k1 b
MULTI
PING
EXEC
SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> SET k1 b
MULTI
PING
EXEC
SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> FLUSHALL
MULTI
PING
EXEC
SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> SCAN 0
MULTI
PING
EXEC
DEBUG SET-ACTIVE-EXPIRE 1

# A watched key that expires has changed, removed or not
DEBUG SET-ACTIVE-EXPIRE 0
SET k1 a PX 400
WATCH k1
DEBUG SLEEP 0.5
MULTI
PING
EXEC
SET k1 a PX 400
WATCH k1
DEBUG SLEEP 0.5
2> GET k1
MULTI
PING
EXEC
SET k1 a PX 400
WATCH k1
DEBUG SLEEP 0.5
2> DEL k1
MULTI
PING
EXEC
SET k1 a PX 400
WATCH k1
DEBUG SLEEP 0.5
2> SCAN 0
MULTI
PING
EXEC
SET k1 a PX 400
WATCH k1
DEBUG SLEEP 0.5
2> FLUSHALL
MULTI
PING
EXEC
DEBUG SET-ACTIVE-EXPIRE 1

# A set of which nothing is stored may have expired
DEBUG SET-ACTIVE-EXPIRE 0
SET k1 a PX 20
WATCH k1
DEBUG SLEEP 0.04
2> SUNIONSTORE k1 nothing
MULTI
PING
EXEC
SET k1 a PX 1
DEBUG SLEEP 0.01
WATCH k1
2> SUNIONSTORE k1 nothing
MULTI
PING
EXEC
DEBUG SET-ACTIVE-EXPIRE 1
"""

GRAMMAR = """
MULTI
EXEC
EXEC
DISCARD
WATCH {key}+
UNWATCH
SET {key} {value}
INCR {key}
GET {key}
RPUSH {key} {value}
LRANGE {key} 0 -1
SADD {key} {member}
SMEMBERS {key}
RENAME {key} {key}
MSET <{key} {value}>+
DEL {key}+
NOSUCH {key}
SELECT (0 | 1)
"""

GRAMMAR_NOT_WITH = {"valkey9": "in Valkey 9.1 MULTI or WATCH inside a transaction aborts it"}
