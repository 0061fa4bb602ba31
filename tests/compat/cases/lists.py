"""The family of lists, without the blocking commands: its table of cases and its grammar."""

CASES = r"""
# LPUSH and RPUSH add on their side
RPUSH k1 a b c
LPUSH k1 x y z
LRANGE k1 0 -1
LLEN k1
LLEN nothing
RPUSH k1
LPUSH k1
RPUSH k1 ""
RPUSH k1 "\xff\x00\r\n"
LRANGE k1 0 -1
OBJECT ENCODING k1

# LPUSHX and RPUSHX need the list
LPUSHX k1 a
RPUSHX k1 a b
EXISTS k1
RPUSH k1 a
LPUSHX k1 b c
RPUSHX k1 d e
LRANGE k1 0 -1

# LPOP and RPOP take from their side
RPUSH k1 1 2 3 4 5 6 7 8
LPOP k1
RPOP k1
LPOP k1 2
RPOP k1 2
LPOP k1 0
LPOP k1 100
EXISTS k1
LPOP k1
RPOP k1
LPOP k1 2
RPOP k1 0
LPOP nothing 0
RPUSH k1 a
LPOP k1 -1
LPOP k1 abc
LPOP k1 9223372036854775808
LPOP k1 -9223372036854775808
LPOP k1 1 2
RPOP k1 9223372036854775807

# LRANGE clamps its bounds
RPUSH k1 a b c d e
LRANGE k1 0 0
LRANGE k1 1 3
LRANGE k1 -2 -1
LRANGE k1 -100 100
LRANGE k1 3 1
LRANGE k1 5 10
LRANGE k1 -1 -3
LRANGE nothing 0 -1
LRANGE k1 abc 1
LRANGE k1 0 1.5
LRANGE k1 -9223372036854775808 9223372036854775807
LRANGE k1 0 9223372036854775808

# LINDEX and LSET address from both ends
RPUSH k1 a b c
LINDEX k1 0
LINDEX k1 -1
LINDEX k1 3
LINDEX k1 -4
LINDEX k1 abc
LINDEX nothing 0
LINDEX nothing abc
LSET k1 0 x
LSET k1 -1 z
LSET k1 3 y
LSET k1 -4 y
LSET k1 abc y
LSET nothing 0 y
LSET nothing abc y
LRANGE k1 0 -1

# LINSERT places beside a pivot
RPUSH k1 a b c b
LINSERT k1 BEFORE b x
LINSERT k1 AFTER b y
LINSERT k1 before a first
LINSERT k1 AFTER nothing z
LINSERT k1 BESIDE a z
LINSERT nothing BEFORE a z
LINSERT nothing BESIDE a z
LRANGE k1 0 -1
LINSERT k1 BEFORE a

# LREM removes equal elements from either end
RPUSH k1 a b a c a b a
LREM k1 2 a
LRANGE k1 0 -1
LREM k1 -1 a
LRANGE k1 0 -1
LREM k1 0 b
LRANGE k1 0 -1
LREM k1 0 zzz
LREM k1 abc a
LREM nothing 0 a
LREM k1 0 c
LREM k1 0 a
EXISTS k1
RPUSH k2 1 01 1 1.0
LREM k2 0 1
LRANGE k2 0 -1

# LSET beyond any index is out of range
% not redis8: Redis 8.0 cuts the index to 32 bits in a small list and writes elsewhere
% not valkey9: Valkey 9.1 cuts the index to 32 bits in a small list and writes elsewhere
RPUSH k1 a b c
LSET k1 9223372036854775807 y
LSET k1 -9223372036854775808 y
LSET k1 4294967296 y
LSET k1 4294967295 y
LRANGE k1 0 -1

# LREM refuses the lowest integer
% not redis7: refused since Redis 7.2
RPUSH k1 a b a
LREM k1 -9223372036854775808 a
LREM k1 -9223372036854775807 a
LRANGE k1 0 -1

# LTRIM keeps a range
RPUSH k1 @{1..10}
LTRIM k1 2 -3
LRANGE k1 0 -1
LTRIM k1 -100 100
LTRIM k1 1 1
LRANGE k1 0 -1
LTRIM k1 5 10
EXISTS k1
LTRIM nothing 0 1
LTRIM k1 abc 1
RPUSH k1 a b
LTRIM k1 1 0
EXISTS k1
RPUSH k1 a b
LTRIM k1 abc 1
LTRIM k1 0 9223372036854775808

# LPOS finds positions
RPUSH k1 a b c 1 2 3 c c
LPOS k1 c
LPOS k1 c RANK 1
LPOS k1 c RANK 2
LPOS k1 c RANK -1
LPOS k1 c RANK -2
LPOS k1 c RANK 4
LPOS k1 c COUNT 0
LPOS k1 c COUNT 2
LPOS k1 c COUNT 2 RANK -1
LPOS k1 c COUNT 0 RANK 2
LPOS k1 c COUNT 0 MAXLEN 3
LPOS k1 c MAXLEN 2
LPOS k1 c MAXLEN 0
LPOS k1 c COUNT 0 MAXLEN 2 RANK -1
LPOS k1 zzz
LPOS k1 zzz COUNT 0
LPOS nothing a
LPOS nothing a COUNT 0
LPOS k1 c RANK 0
LPOS k1 c RANK abc
LPOS k1 c COUNT -1
LPOS k1 c COUNT abc
LPOS k1 c MAXLEN -1
LPOS k1 c RANK
LPOS k1 c WHAT 1
LPOS k1 c RANK -9223372036854775808
LPOS k1 c RANK 9223372036854775808
LPOS nothing c RANK 0
LPOS k1 c RANK 1 RANK 2
LPOS k1 1

# RPOPLPUSH and LMOVE move between lists
RPUSH k1 a b c
RPOPLPUSH k1 {a}1
LMOVE k1 {a}1 LEFT RIGHT
LMOVE k1 {a}1 RIGHT LEFT
LRANGE {a}1 0 -1
EXISTS k1
LMOVE k1 {a}1 LEFT LEFT
RPOPLPUSH k1 {a}1
LMOVE {a}1 {a}1 LEFT RIGHT
LRANGE {a}1 0 -1
RPOPLPUSH {a}1 {a}1
LRANGE {a}1 0 -1
LMOVE {a}1 k1 UP LEFT
LMOVE {a}1 k1 LEFT UP
LMOVE {a}1 k1 left right
SET s x
LMOVE {a}1 s LEFT LEFT
RPOPLPUSH s {a}1
RPOPLPUSH {a}1 s
RPOPLPUSH nothing s
LMOVE nothing s LEFT LEFT
LMOVE s nothing LEFT LEFT
RPUSH single x
LMOVE single single LEFT LEFT
RPOPLPUSH single single
LRANGE single 0 -1

# LMPOP pops from the first list that has elements
RPUSH k2 a b c d e
LMPOP 2 k1 k2 LEFT
LMPOP 2 k1 k2 RIGHT COUNT 2
LMPOP 1 k2 left count 10
EXISTS k2
LMPOP 2 k1 k2 LEFT
RPUSH k1 a
LMPOP 0 k1 LEFT
LMPOP -1 k1 LEFT
LMPOP abc k1 LEFT
LMPOP 2 k1 LEFT
LMPOP 1 k1 UP
LMPOP 1 k1 LEFT COUNT 0
LMPOP 1 k1 LEFT COUNT -1
LMPOP 1 k1 LEFT COUNT abc
LMPOP 1 k1 LEFT COUNT
LMPOP 1 k1 LEFT COUNT 1 COUNT 2
LMPOP 1 k1 LEFT WHAT
LMPOP 1 k1
LMPOP 9223372036854775807 k1 LEFT
LMPOP 4294967296 k1 LEFT
SET s x
LMPOP 1 s LEFT
LMPOP 2 k1 s LEFT
LMPOP 2 nothing s LEFT

# A list grows out of its listpack by bytes
RPUSH k1 @{1..100}
OBJECT ENCODING k1
RPUSH k2 *{x,8000}
OBJECT ENCODING k2
RPUSH k2 *{x,500}
OBJECT ENCODING k2
RPUSH k3 *{x,9000}
OBJECT ENCODING k3
LPOP k3
RPUSH k4 *{x,4000} *{y,4000}
OBJECT ENCODING k4
LSET k1 0 *{z,9000}
OBJECT ENCODING k1
LPOP k1
OBJECT ENCODING k1

# A long list keeps its order through changes in the middle
RPUSH k1 @{1..600}
LPUSH k1 @{-100..-1}
LLEN k1
LINDEX k1 0
LINDEX k1 350
LINDEX k1 -1
LSET k1 350 middle
LINSERT k1 AFTER middle here
LREM k1 1 300
LRANGE k1 345 355
LTRIM k1 10 -11
LPOP k1 20
RPOP k1 20
LRANGE k1 0 -1
LPOS k1 here

# A list shrinks back into a listpack when almost nothing is left
RPUSH k1 *{a,5000} *{b,5000} c
OBJECT ENCODING k1
LPOP k1
OBJECT ENCODING k1
LPOP k1
OBJECT ENCODING k1
RPUSH k2 *{a,5000} *{b,5000} c
LTRIM k2 2 2
OBJECT ENCODING k2
RPUSH k3 *{a,5000} *{b,5000} c
LREM k3 0 *{a,5000}
OBJECT ENCODING k3
LREM k3 0 *{b,5000}
OBJECT ENCODING k3

# Commands for lists refuse other types
SET k1 a
LPUSH k1 x
RPUSH k1 x
LPUSHX k1 x
RPUSHX k1 x
LPOP k1
RPOP k1
LPOP k1 1
LPOP k1 -1
LRANGE k1 0 -1
LRANGE k1 a b
LINDEX k1 0
LINDEX k1 abc
LSET k1 0 x
LSET k1 abc x
LINSERT k1 BEFORE a b
LINSERT k1 BESIDE a b
LLEN k1
LREM k1 0 a
LREM k1 abc a
LTRIM k1 0 1
LTRIM k1 abc 1
LPOS k1 a
LPOS k1 a RANK 0
LMPOP 1 k1 LEFT
"""

GRAMMAR = """
RPUSH {key} {value}+
LPUSH {key} {value}+
RPUSH {key} {member}+
LPUSHX {key} {value}+
RPUSHX {key} {value}+
LPOP {key}
RPOP {key}
LPOP {key} {count}
RPOP {key} {count}
LLEN {key}
LRANGE {key} {index} {index}
LINDEX {key} {index}
LSET {key} {position} {value}
LINSERT {key} (BEFORE | AFTER | x) {value} {value}
LREM {key} {int} {value}
LTRIM {key} {index} {index}
LPOS {key} {value} [RANK {int} | COUNT {count} | MAXLEN {count}]
RPOPLPUSH {key} {key}
LMOVE {key} {key} (LEFT | RIGHT | up) (LEFT | RIGHT)
LMPOP {count} {key} (LEFT | RIGHT) [COUNT {count}]
LMPOP 2 {key} {key} (LEFT | RIGHT) [COUNT {count}]
SET {key} {value}
"""
