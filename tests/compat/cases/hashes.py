"""The family of hashes, without field expiry: its table of cases and its grammar."""

CASES = r"""
# HSET counts new fields only
HSET k1 f1 a
HSET k1 f1 b f2 c
HSET k1 f3 a f3 b
HGETALL k1
HGET k1 f1
HGET k1 f9
HGET nothing f
HSET k1 f1
HSET k1 f1 a f2
HSET k1
HLEN k1
HLEN nothing
OBJECT ENCODING k1

# HMSET answers OK
HMSET k1 f1 a f2 b
HMSET k1 f1
HMSET k1 f1 a f2
HMGET k1 f1 f2 f3
HMGET nothing f1 f2
HMGET k1
HMGET k1 f1 f1

# HSETNX leaves a field that exists
HSETNX k1 f1 a
HSETNX k1 f1 b
HGET k1 f1
HSETNX k1 f1
HSETNX k1 f2 a f3 b

# Fields and values are any bytes
HSET k1 "" empty "\xff\x00" "\r\n" f ""
HGET k1 ""
HGET k1 "\xff\x00"
HGETALL k1
HSTRLEN k1 ""
HSTRLEN k1 f
HSTRLEN k1 nothing
HSTRLEN nothing f
HEXISTS k1 ""
HEXISTS k1 x
HEXISTS nothing x

# HDEL removes fields and at last the key
HSET k1 f1 a f2 b f3 c
HDEL k1 f1 f9
HDEL k1 f2 f2
HDEL k1 f3
EXISTS k1
HDEL k1 f1
HDEL k1
HSET k1 x y
HDEL k1 x x x

# HKEYS, HVALS and HGETALL list everything
HSET k1 f1 a f2 b f3 a
HKEYS k1
HVALS k1
HGETALL k1
HKEYS nothing
HVALS nothing
HGETALL nothing

# HINCRBY adds integers
HINCRBY k1 f 5
HINCRBY k1 f -10
HGET k1 f
HSET k1 max 9223372036854775807 min -9223372036854775808 word abc float 1.5 blank "" spaced " 1"
HINCRBY k1 max 1
HINCRBY k1 max 0
HINCRBY k1 min -1
HINCRBY k1 word 1
HINCRBY k1 float 1
HINCRBY k1 blank 1
HINCRBY k1 spaced 1
HINCRBY k1 f abc
HINCRBY k1 f 1.5
HINCRBY k1 f 9223372036854775808
HINCRBY k1 f ""
HINCRBY nothing f abc
EXISTS nothing
HGETALL k1

# HINCRBYFLOAT adds floats
HINCRBYFLOAT k1 f 10.5
HINCRBYFLOAT k1 f 0.1
HINCRBYFLOAT k1 f -5e0
HINCRBYFLOAT k1 g 5.0e3
HINCRBYFLOAT k1 h 1e17
HINCRBYFLOAT k1 i 1e-17
HINCRBYFLOAT k1 j 123456789012345678901234567890
HINCRBYFLOAT k1 f inf
HINCRBYFLOAT k1 f -inf
HINCRBYFLOAT k1 f nan
HINCRBYFLOAT k1 f abc
HINCRBYFLOAT k1 f ""
HSET k1 word abc huge 1e308 spaced "1 " inf inf
HINCRBYFLOAT k1 word 1
HINCRBYFLOAT k1 huge 1e308
HINCRBYFLOAT k1 spaced 1
HINCRBYFLOAT k1 inf 1
HINCRBYFLOAT nothing f abc
EXISTS nothing
HGETALL k1

# HRANDFIELD draws fields
HSET k1 f1 a f2 b f3 c
HRANDFIELD k1
HRANDFIELD nothing
HRANDFIELD nothing 5
HRANDFIELD k1 0
HRANDFIELD k1 3
HRANDFIELD k1 10
HRANDFIELD k1 2
HRANDFIELD k1 -5
HRANDFIELD k1 10 WITHVALUES
HRANDFIELD k1 -4 WITHVALUES
HRANDFIELD k1 2 WITHVALUES
HRANDFIELD k1 0 WITHVALUES
HRANDFIELD nothing 5 WITHVALUES
HRANDFIELD k1 abc
HRANDFIELD k1 1 WHAT
HRANDFIELD k1 1 WITHVALUES x
HRANDFIELD k1 9223372036854775808
HRANDFIELD k1 -9223372036854775808
HRANDFIELD k1 -9223372036854775808 WITHVALUES
HRANDFIELD k1 -4611686018427387905 WITHVALUES
HSET k2 only one
HRANDFIELD k2
HRANDFIELD k2 -3

# HGETDEL answers fields and removes them
% not redis7: HGETDEL came with Redis 8.0
HSET k1 f1 a f2 b f3 c
HGETDEL k1 FIELDS 2 f1 nothing
HGETDEL k1 FIELDS 1 f1
HGETALL k1
HGETDEL k1 FIELDS 2 f2 f3
EXISTS k1
HGETDEL nothing FIELDS 1 f
HGETDEL k1 FIELDS 0 f
HGETDEL k1 FIELDS abc f
HGETDEL k1 FIELDS 2 f
HGETDEL k1 FIELDS 1 f g
HGETDEL k1 f g h
HGETDEL k1
SET s x
HGETDEL s FIELDS 1 f

# HSCAN walks a small hash at once
HSET k1 f1 a f2 b g1 c
HSCAN k1 0
HSCAN k1 0 MATCH f*
HSCAN k1 0 COUNT 1
HSCAN nothing 0
HSCAN k1 abc
HSCAN k1 -1
HSCAN k1 0 COUNT 0
HSCAN k1 0 COUNT -1
HSCAN k1 0 COUNT abc
HSCAN k1 0 COUNT
HSCAN k1 0 MATCH
HSCAN k1 0 WHAT
HSCAN k1 0 TYPE hash
HSCAN k1 18446744073709551615
HSCAN k1 18446744073709551616
HSCAN k1 ""
HSCAN k1 0 MATCH nothing*
HSCAN k1

# HSCAN of Redis 7.0 has no NOVALUES
% not redis7: HSCAN NOVALUES came with Redis 7.4
HSET k1 f1 a f2 b
HSCAN k1 0 NOVALUES
HSCAN k1 0 novalues MATCH f1
HSCAN k1 0 NOVALUES NOVALUES

# A hash grows from listpack to hash table by its count
HSET k1 @{f:v:1..128}
OBJECT ENCODING k1
HSET k2 @{f:v:1..512}
HLEN k2
HSET k2 one more
HLEN k2
HDEL k2 @{f:1..512}
HLEN k2
HGETALL k2

# A hash turns into a hash table by the length of an element
HSET k1 f *{x,64}
OBJECT ENCODING k1
HSET k1 f *{x,65}
OBJECT ENCODING k1
HSET k2 *{x,64} v
OBJECT ENCODING k2
HSET k2 *{x,65} v
OBJECT ENCODING k2
HSET k2 f v
HDEL k2 *{x,65}
OBJECT ENCODING k2
HSET k3 f v
HSETNX k3 g *{x,65}
OBJECT ENCODING k3
HSET k4 f v
HMSET k4 f v g *{x,65}
OBJECT ENCODING k4

# The threshold on the count of fields is configurable
CONFIG SET hash-max-listpack-entries 4
HSET k1 @{f:v:1..4}
OBJECT ENCODING k1
HSET k1 f5 v
OBJECT ENCODING k1
HSET k2 @{f:v:1..3}
HINCRBY k2 f4 1
OBJECT ENCODING k2
HINCRBY k2 f5 1
OBJECT ENCODING k2
CONFIG SET hash-max-listpack-entries 128
CONFIG SET hash-max-listpack-value 8
HSET k3 f *{x,8}
OBJECT ENCODING k3
HSET k3 f *{x,9}
OBJECT ENCODING k3
CONFIG SET hash-max-listpack-value 64

# A big hash keeps its fields through changes
HSET k1 @{f:v:1..1000}
HDEL k1 @{f:100..800}
HSET k1 f5 new f900 new
HLEN k1
HGET k1 f5
HGET k1 f99
HGET k1 f100
HGETALL k1

# Commands for hashes refuse other types
SET k1 a
HSET k1 f v
HSETNX k1 f v
HGET k1 f
HMGET k1 f
HDEL k1 f
HLEN k1
HSTRLEN k1 f
HEXISTS k1 f
HKEYS k1
HVALS k1
HGETALL k1
HINCRBY k1 f 1
HINCRBY k1 f abc
HINCRBYFLOAT k1 f 1
HRANDFIELD k1
HRANDFIELD k1 1
HRANDFIELD k1 abc
HSCAN k1 0
HSCAN k1 abc
HSCAN k1 0 WHAT
"""

GRAMMAR = """
HSET {key} <{field} {value}>+
HMSET {key} <{field} {value}>+
HSETNX {key} {field} {value}
HGET {key} {field}
HMGET {key} {field}+
HDEL {key} {field}+
HLEN {key}
HSTRLEN {key} {field}
HEXISTS {key} {field}
HKEYS {key}
HVALS {key}
HGETALL {key}
HINCRBY {key} {field} {int}
HINCRBYFLOAT {key} {field} {float}
HRANDFIELD {key} {count} [WITHVALUES]
HSCAN {key} 0 [MATCH {pattern} | COUNT {count}]
SET {key} {value}
DEL {key}
"""
