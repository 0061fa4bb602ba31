"""SORT in both its forms: its table of cases."""

CASES = r"""
# SORT orders numbers and words
RPUSH k1 3 1 2 10
SORT k1
SORT k1 DESC
SORT k1 ALPHA
SORT k1 ALPHA DESC LIMIT 1 2
SORT k1 LIMIT 0 0
SORT k1 LIMIT -1 2
SORT_RO k1 LIMIT 1 1
SORT nothing
SADD k2 c a b
SORT k2
SORT k2 ALPHA
ZADD k3 3 a 2 b 1 c
SORT k3 BY nosort
SORT k3 BY nosort DESC
SORT k3 ALPHA
DEL k3

# SORT follows patterns
RPUSH k1 1 2 3
MSET w1 3 w2 1 w3 2 d1 one d2 two
HSET h1 f 9
SORT k1 BY w*
SORT k1 BY w* GET d* GET #
SORT_RO k1 BY w* GET h*->f DESC
SORT k1 BY nothing* ALPHA

# SORT stores what it sorts
RPUSH {a}1 3 1 2
SORT {a}1 STORE {a}2
LRANGE {a}2 0 -1
SORT {a}nothing STORE {a}2
EXISTS {a}2
SORT_RO {a}1 STORE {a}2

# SORT takes blanks and hexadecimal for no numbers
% not redis7: it does
RPUSH k1 " 1" 2
SORT k1
RPUSH k2 0x10 2
SORT k2
SORT k2 ALPHA

# SORT takes nothing for zero, and what is too large for infinity
% not redis7: it refuses numbers out of range
% not valkey9: it refuses both
RPUSH k1 "" 1 -1
SORT k1
RPUSH k1 1e400 -1e400 inf
SORT k1

# SORT refuses what it cannot sort
SET k1 a
SORT k1
RPUSH k2 a b
SORT k2
SORT k2 LIMIT a 1
SORT k2 WHAT
SORT
"""

GRAMMAR = """
RPUSH {key} {number}+
RPUSH {key} {number} {number} (a | b)
ZADD {key} <{score} {member}>+
SADD {key} (1 | 2 | 3)+
MSET {key} 3 {key} 1
SORT {key} [ALPHA | ASC | DESC | LIMIT {index} {int}]
SORT {key} [BY w* | BY nosort | GET # | GET x | STORE {key} | ALPHA | DESC]
SORT_RO {key} [ALPHA | DESC | LIMIT {index} {int} | STORE {key} | GET #]
SORT {key} BY k* [GET k* | DESC | ALPHA]
SET {key} {value}
DEL {key}
"""
