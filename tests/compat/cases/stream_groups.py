"""Reading streams in groups, entries that nobody got yet included: random sequences only."""

GRAMMAR = """
XADD {key} (1-1 | 2-* | 3-3 | 6-1 | 7-1) {field} {value}
XADD {key} (1-1 | 1-2 | 2-2) a b
XDEL {key} (1-1 | 2-2 | 3-3)
XTRIM {key} MAXLEN {count}
XGROUP CREATE {key} (g1 | g2) (0 | 1-1 | $) [MKSTREAM]
XGROUP SETID {key} (g1 | g2) (0 | 2-2 | $)
XGROUP DELCONSUMER {key} g1 (c1 | c2)
XREADGROUP GROUP (g1 | g2) (c1 | c2) COUNT {count} STREAMS {key} {new}
XREADGROUP GROUP (g1 | g2) (c1 | c2 | c3) [NOACK | COUNT {count}] STREAMS {key} {key} {new} {new}
XREADGROUP GROUP (g1 | g2) (c1 | c2) COUNT {count} STREAMS {key} {new}
XREADGROUP GROUP g1 c1 STREAMS {key} (0 | 1-1 | {new})
XACK {key} (g1 | g2) (1-1 | 2-2 | 3-3)+
XPENDING {key} (g1 | g2)
XPENDING {key} (g1 | g2) - + 10 [c1]
XCLAIM {key} (g1 | g2) (c1 | c2) 0 (1-1 | 2-2 | 3-3)+ [FORCE | JUSTID | RETRYCOUNT {count} | LASTID 4-4]
XAUTOCLAIM {key} (g1 | g2) (c1 | c2) 0 (0 | - | 2-2) [COUNT 2 | JUSTID]
XINFO STREAM {key} FULL
XINFO GROUPS {key}
XINFO CONSUMERS {key} (g1 | g2)
"""

GRAMMAR_NOT_WITH = {"redis7": "it makes no consumer for a read that finds nothing"}
