"""Commands that may wait, where they need not: there is an element, or a transaction may not wait."""

CASES = r"""
# Blocking commands take at once what is there
RPUSH k1 a b c d e f
BLPOP k1 0
BRPOP k1 0
BLPOP nothing k1 1
BLMPOP 1 1 k1 LEFT COUNT 2
RPUSH {a}1 a b
BLMOVE {a}1 {a}2 LEFT RIGHT 1
BRPOPLPUSH {a}1 {a}2 1
LRANGE {a}2 0 -1
ZADD k2 1 a 2 b 3 c 4 d
BZPOPMIN k2 1
BZPOPMAX k2 1
BZMPOP 1 1 k2 MIN COUNT 10

# Blocking commands do not wait in a transaction
MULTI
BLPOP k1 0
BRPOP k1 0
BLMPOP 0 1 k1 LEFT
BLMOVE {a}1 {a}2 LEFT RIGHT 0
BRPOPLPUSH {a}1 {a}2 0
BZPOPMIN k2 0
BZPOPMAX k2 0
BZMPOP 0 1 k2 MIN
EXEC

# A timeout that no clock reaches is refused
% not redis7: in other words
BLPOP k2 1e400
BLPOP k2 -1e400
BLPOP k2 inf
BLPOP k2 1e18
BZPOPMIN k2 1e400

# Blocking commands check their arguments before they wait
SET k1 a
BLPOP k1 0
BLPOP k2 -1
BLPOP k2 abc
BLMPOP abc 1 k2 LEFT
BLMPOP 0 0 k2 LEFT
BLMPOP 0 1 k2 UP
BLMPOP 0 1 k2 LEFT COUNT 0
BRPOPLPUSH k1 k2 0
BZPOPMAX k1 0
BZPOPMAX k2 abc
BZMPOP 0 1 k2 WHAT
"""
