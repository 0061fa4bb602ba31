"""The family of bitmaps: its table of cases and its grammar."""

CASES = r"""
# SETBIT and GETBIT reach any bit
SETBIT k1 7 1
GET k1
SETBIT k1 7 0
GET k1
SETBIT k1 100 1
STRLEN k1
GETBIT k1 100
GETBIT k1 99
GETBIT k1 100000
GETBIT nothing 0
SETBIT k2 4294967296 1
SETBIT k2 -1 1
SETBIT k2 0 2
SETBIT k2 0 abc
SETBIT k2 abc 1
SETBIT k2 0
GETBIT k1 -1
GETBIT k1 abc
EXISTS k2
SET k3 12
SETBIT k3 6 1
GET k3
OBJECT ENCODING k3

# BITCOUNT with a start alone goes on to the end
SET k1 foobar
BITCOUNT k1 0
BITCOUNT k1 1
BITCOUNT k1 -2
BITCOUNT k1 100
BITCOUNT nothing 1
BITCOUNT k1 abc

# BITCOUNT counts in bytes and in bits
SET k1 foobar
BITCOUNT k1
BITCOUNT k1 0 0
BITCOUNT k1 1 1
BITCOUNT k1 -2 -1
BITCOUNT k1 5 1
BITCOUNT k1 0 -100
BITCOUNT k1 5 30 BIT
BITCOUNT k1 -9 -2 BIT
BITCOUNT k1 0 0 BYTE
BITCOUNT k1 0 0 WHAT
BITCOUNT k1 0 abc
BITCOUNT k1 abc 0
BITCOUNT nothing
BITCOUNT nothing 0 1
SET k2 123456
BITCOUNT k2

# BITCOUNT checks its arguments before it looks for the key
% not redis7: it does not look
BITCOUNT nothing 0 1 WHAT
BITCOUNT nothing abc 1

# BITPOS finds the first bit
SET k1 "\xff\xf0\x00"
BITPOS k1 0
BITPOS k1 1
BITPOS k1 0 0 0
BITPOS k1 1 2
BITPOS k1 0 2 -1
BITPOS k1 0 -1
BITPOS k1 1 7 15 BIT
BITPOS k1 1 12 23 BIT
BITPOS k1 0 3 20 BIT
BITPOS k1 2
BITPOS k1 abc
BITPOS k1 1 abc
BITPOS k1 1 0 abc
BITPOS k1 1 0 1 WHAT
SET k2 "\xff\xff"
BITPOS k2 0
BITPOS k2 0 0
BITPOS k2 0 0 -1
BITPOS k2 1 5 2
BITPOS nothing 0
BITPOS nothing 1
SET k3 ""
BITPOS k3 0
BITPOS k3 1

# BITOP combines strings of any length
SET k1 abcdef
SET k2 "\xff\x00\x0f"
SET k3 x
BITOP AND k4 k1 k2
GET k4
BITOP OR k4 k1 k2 k3
GET k4
BITOP XOR k4 k1 k2 k3
GET k4
BITOP NOT k4 k2
GET k4
BITOP NOT k4 k1 k2
BITOP AND k4 k1 nothing
GET k4
BITOP OR k4 nothing
EXISTS k4
BITOP WHAT k4 k1
BITOP AND k4
BITOP and k1 k1 k1
GET k1
RPUSH l a
BITOP AND k4 k1 l
EXPIRE k1 1000
BITOP OR k1 k1 k2
TTL k1

# BITFIELD reads, writes and counts
BITFIELD k1 SET u8 0 255 GET u4 0 GET i4 0
BITFIELD k1 INCRBY u8 0 1
BITFIELD k1 OVERFLOW SAT INCRBY u8 8 300
BITFIELD k1 OVERFLOW FAIL INCRBY u8 8 300
BITFIELD k1 OVERFLOW WRAP INCRBY i8 16 200
BITFIELD k1 OVERFLOW SAT INCRBY i8 24 -200
BITFIELD k1 SET i64 0 -1 GET u63 1
BITFIELD k1 GET u64 0
BITFIELD k1 GET i65 0
BITFIELD k1 GET x8 0
BITFIELD k1 GET u0 0
BITFIELD k1 SET u8 #2 7 GET u8 #2
BITFIELD k1 SET u8 -1 7
BITFIELD k1 SET u8 #-1 7
BITFIELD k1 SET u8 abc 7
BITFIELD k1 SET u8 0 abc
BITFIELD k1 OVERFLOW WHAT
BITFIELD k1 WHAT
BITFIELD k1 GET u8
BITFIELD k1
BITFIELD nothing GET u8 100
EXISTS nothing
BITFIELD_RO k1 GET u8 0 GET i5 3
BITFIELD_RO k1 SET u8 0 1
BITFIELD_RO nothing GET u8 0
GET k1

# Bit commands refuse other types
RPUSH k1 a
SETBIT k1 0 1
GETBIT k1 0
BITCOUNT k1
BITPOS k1 1
BITFIELD k1 GET u8 0
BITFIELD k1 SET u8 0 1
BITFIELD_RO k1 GET u8 0

# Too many arguments are told before those that are no numbers
SET k1 a
BITCOUNT k1 x 0 BIT 0
BITPOS k1 0 x 0 BIT 0
BITPOS k1 2 x 0 BIT 0

# BITPOS tells a wrong start before a wrong unit, and that before a wrong end
SET k1 a
BITPOS k1 0 x y z
BITPOS k1 0 0 y z
BITPOS k1 0 0 BIT 0
BITPOS k1 0 0 y BIT

# BITCOUNT tells a wrong start and end before a wrong unit
% not valkey9: it reads the unit first
SET k1 a
BITCOUNT k1 x 0 z
BITCOUNT k1 0 y z
BITCOUNT k1 0 0 z
"""

GRAMMAR = """
SET {key} {value}
SETBIT {key} {count} (0|1)
GETBIT {key} {count}
BITCOUNT {key} [{index} {index}]
BITCOUNT {key} {index} {index} (BYTE|BIT)
BITPOS {key} (0|1)
BITPOS {key} (0|1) {index} {index} (BYTE|BIT)
BITOP (AND|OR|XOR) {key} {key}+
BITOP NOT {key} {key}
BITFIELD {key} (GET|SET) u8 {count} 1
BITFIELD {key} INCRBY (u8|i8|i5) {count} {int}
BITFIELD {key} OVERFLOW (SAT|FAIL|WRAP) INCRBY (u8|i8|i64) {count} {int}
BITFIELD {key} <OVERFLOW (SAT|FAIL|WRAP|x)> <(SET|INCRBY) {width} {offset} {int}>+ [GET {width} {offset} | OVERFLOW FAIL]
BITFIELD {key} <SET {width} {offset} {int}>+ <GET {width} {offset}>+
BITFIELD_RO {key} GET {width} {offset}
BITFIELD_RO {key} <(GET|SET) {width} {offset}>+
SETBIT {key} {offset} (0|1|2)
GETBIT {key} {offset}
BITPOS {key} (0|1|2) [{index} | BIT | BYTE]
BITOP (AND|OR|XOR|NOT|x) {key} {key}+
"""
