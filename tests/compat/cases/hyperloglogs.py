"""The family of HyperLogLogs: its table of cases and its grammar."""

CASES = r"""
# PFADD and PFCOUNT count different elements
PFADD k1
PFADD k1
EXISTS k1
PFCOUNT k1
PFADD k1 a b c
PFADD k1 a
PFCOUNT k1
PFADD k1 @{e:1..50}
PFCOUNT k1
PFCOUNT nothing
PFCOUNT nothing k1
TYPE k1
STRLEN k1
PFADD k2 c d e
PFCOUNT k1 k2

# PFMERGE takes every element
PFADD k1 a b c
PFADD k2 c d
PFMERGE k3 k1 k2
PFCOUNT k3
PFMERGE k3
PFCOUNT k3
PFMERGE k4 nothing
PFCOUNT k4
EXPIRE k1 1000
PFMERGE k1 k2
TTL k1
PFCOUNT k1
GET k3

# What is no HyperLogLog is refused
SET k1 abc
PFADD k1 a
PFCOUNT k1
PFMERGE k2 k1
PFMERGE k1 k2
RPUSH k3 a
PFADD k3 a
PFCOUNT k3
PFMERGE k2 k3
PFCOUNT
PFADD
PFMERGE

# The debugging commands look inside
PFADD k1 a b c
PFDEBUG ENCODING k1
PFDEBUG DECODE k1
PFDEBUG TODENSE k1
PFDEBUG ENCODING k1
PFDEBUG TODENSE k1
PFCOUNT k1
PFDEBUG DECODE k1
PFDEBUG ENCODING nothing
PFDEBUG WHAT k1
PFSELFTEST
"""

GRAMMAR = """
PFADD {key} {member}+
PFADD {key}
PFCOUNT {key}+
PFMERGE {key} {key}+
GET {key}
SET {key} {value}
"""
