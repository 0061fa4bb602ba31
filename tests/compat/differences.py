"""The differences from the references that are meant, each with its reason.

Sherd has what Redis 8.0 and Valkey 9.1 have in common, and says that it is a Redis 7.2, as Valkey does: from 8 on clients
take modules for granted that exist nowhere else, and some speak to a cluster in another way. Where the two disagree, it does

- what takes more, if one of them only refuses it (BITCOUNT with a start alone, ZSCAN NOSCORES, SCAN with an unknown TYPE,
  XREAD from the plus sign, which its error texts therefore name);
- else what Redis 7.2 does, if that is what one of the two does (a nested MULTI or WATCH is refused without spoiling the
  transaction, coordinates have seventeen decimals);
- else what Redis 8.0 does.

An entry names the references that it differs from, so a reply that is like neither is still found by the other one. An entry
excuses one command against one reference, so a reply that matches neither of them is still found by the other
comparison. An entry that stops being needed does no harm but should go; an entry without a reason cannot be written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.compat.normalise import (
    same_before_odd_bytes,
    same_but_databases,
    same_but_order,
    same_but_successes,
    same_but_too_many_read,
    same_coordinates,
    same_kind_of_text,
    same_numbers,
    same_script_words,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.compat.engine import KeyState
    from tests.compat.normalise import Command
    from tests.support.resp import Node


@dataclass(frozen=True)
class Difference:
    """Replies to commands that match `pattern` (upper-case name, then arguments) may differ from `references`.

    With `ours` only a reply of that text passes; without it any does.
    """

    references: frozenset[str]
    pattern: re.Pattern[str]
    reason: str
    ours: re.Pattern[bytes] | None = None
    theirs: re.Pattern[bytes] | None = None
    relation: Callable[[Node, Node], bool] | None = None

    def accepts(self, ours: Node, theirs: Node) -> bool:
        """Whether this pair of replies is the meant difference."""
        if self.relation is not None and not self.relation(ours, theirs):
            return False
        return all(
            pattern is None or pattern.search(node.show().encode())
            for pattern, node in ((self.ours, ours), (self.theirs, theirs))
        )


def _differ(
    references: str,
    pattern: str,
    reason: str,
    *,
    ours: str = "",
    theirs: str = "",
    relation: Callable[[Node, Node], bool] | None = None,
) -> Difference:
    return Difference(
        frozenset(references.split()),
        re.compile(pattern, re.IGNORECASE | re.DOTALL),
        reason,
        re.compile(ours.encode()) if ours else None,
        re.compile(theirs.encode()) if theirs else None,
        relation,
    )


DIFFERENCES: tuple[Difference, ...] = (
    _differ(
        "redis7",
        r"",
        "what is denied is told in other words since Redis 7.2",
        ours="NOPERM |ACL failure in script",
        theirs="NOPERM |The user executing the script",
    ),
    _differ(
        "redis7",
        r"ACL (GETUSER|DRYRUN|LOG|HELP)",
        "since Redis 7.2 rules are told as they were given, texts name the user, and log entries have an id and times",
    ),
    _differ(
        "valkey9",
        r"ACL GETUSER",
        "Valkey tells the databases of all users, Sherd of those that have not all, and not that payloads are checked",
        relation=same_but_databases,
    ),
    _differ("valkey9", r"ACL HELP", "Valkey calls attributes rules", relation=same_kind_of_text),
    _differ(
        "valkey9",
        r"ACL (SAVE|LOAD)",
        "Valkey leaves out the name of Redis",
        ours="This Redis instance is not configured",
        theirs="This instance is not configured",
    ),
    _differ(
        "redis7 redis8 valkey9",
        r".*[\x00\x80-\xff]",
        "error texts quote bytes that are no text as replacement characters, and do not end at a zero byte",
        relation=same_before_odd_bytes,
    ),
    _differ(
        "valkey9",
        r"(EVAL|EVALSHA|FCALL)(_RO)? |SCRIPT SHOW |FUNCTION LOAD ",
        "Valkey leaves out a script's digest or a function's name, and the name of Redis, where an error is told",
        relation=same_script_words,
    ),
    _differ(
        "redis7",
        r"XREAD(GROUP)? .*STREAMS",
        "the command is named, and the plus sign with it, since Redis 7.2",
        ours="Unbalanced 'xread",
        theirs="Unbalanced XREAD",
    ),
    _differ(
        "valkey9",
        r"XREAD .*STREAMS",
        "Valkey has no plus sign",
        ours="Unbalanced 'xread'",
        theirs="Unbalanced 'xread'",
    ),
    _differ(
        "redis7 redis8",
        r"BITCOUNT \S+ \S+$",
        "a start without an end is taken, as by Valkey and as BITPOS takes it",
        theirs="ERR syntax error",
    ),
    _differ(
        "redis7 redis8",
        r"ZSCAN \S+ \S+ .*NOSCORES",
        "members without their scores, as HSCAN gives fields without values, are Valkey's",
        theirs="ERR syntax error",
    ),
    _differ(
        "redis7 redis8 valkey9",
        r"XINFO (GROUPS|STREAM .* FULL)|XSETID|XGROUP",
        "since Redis 8.4 no group has read more entries than there were, and none lags behind by less than none",
        relation=same_but_too_many_read,
    ),
    _differ(
        "valkey9",
        r"GEOSEARCH(STORE)? ",
        "Valkey knows polygons, and names them among what is missing",
        ours="exactly one of BYRADIUS and BYBOX",
        theirs="exactly one of BYRADIUS, BYBOX and BYPOLYGON",
    ),
    _differ(
        "valkey9",
        r"H(P?EXPIRE(AT|TIME)?|P?TTL|PERSIST|GETEX|SETEX) ",
        "Valkey checks arguments of fields that expire in another order, and says in other words what is wrong with them",
        ours="^-",
        theirs="^-",
    ),
    _differ(
        "redis7",
        r"OBJECT ENCODING",
        "small lists and sets are listpacks since Redis 7.2",
        ours="listpack",
        theirs="quicklist|hashtable",
    ),
    _differ(
        "valkey9",
        r"OBJECT ENCODING",
        "Valkey decides between embstr and raw by the size of key and value together, Sherd as Redis by the value",
        ours="embstr|raw",
        theirs="embstr|raw",
    ),
    _differ(
        "redis7",
        r"Z",
        "scores are printed in their shortest form since Redis 7.2; 7.0 prints seventeen digits",
        relation=same_numbers,
    ),
    _differ(
        "redis7 valkey9",
        r"BIT(COUNT|POS)",
        "since Redis 8.0 all arguments are checked before the key is looked for",
        ours="ERR (syntax error|value is not an integer)",
        theirs=":b'(0|-1)'|WRONGTYPE",
    ),
    _differ(
        "valkey9",
        r"BIT(COUNT|POS)",
        "Valkey reads the unit before the numbers",
        ours="^-b'ERR value is not an integer",
        theirs="^-b'ERR syntax error",
    ),
    _differ(
        "redis8",
        r"GEO(POS|SEARCH|RADIUS)",
        "Redis 8.0 prints coordinates in their shortest form, Redis 7 and Valkey with seventeen decimals",
        relation=same_coordinates,
    ),
    _differ(
        "valkey9",
        r"GEO(SEARCH|RADIUSBYMEMBER)",
        "Valkey names the member that is not there",
        ours="could not decode requested zset member",
        theirs="member .* does not exist",
    ),
    _differ(
        "redis7 redis8 valkey9",
        r"SORT(_RO)? \S+ (?=.*BY \S*\*)(?=.*ALPHA)",
        "elements that all have no weight come in the order of a hash table, which that of a sorted set is when it is sorted",
        relation=same_but_order,
    ),
    _differ(
        "redis7 redis8 valkey9",
        r"ZINCRBY \S+ (NX|XX|GT|LT|CH|INCR) ",
        "an option of ZADD in place of the increment is read as one, and then the score is missing",
        ours="value is not a valid float",
        theirs="syntax error",
    ),
    _differ(
        "valkey9",
        r"SORT(_RO)? ",
        "to Valkey an empty element is no number, to Redis and Sherd it is zero",
        theirs="One or more scores can't be converted into double",
    ),
    _differ(
        "redis7",
        r"EXEC",
        "replies inside EXEC differ as the commands do",
        relation=same_numbers,
    ),
    _differ(
        "redis7",
        r"(H|S|Z)?SCAN",
        "the cursor is checked strictly, and before the options, since Redis 7.2",
        ours="ERR invalid cursor",
    ),
    _differ("redis7", r"(H|S|Z)?SCAN", "a cursor may begin with blanks since Redis 7.2", theirs="ERR invalid cursor"),
    _differ("redis7", r"(S|Z)?SCAN", "Redis 7.0 does not know NOVALUES", ours="NOVALUES", theirs="ERR syntax error"),
    _differ("redis7", r"COMMAND GETKEYS", "Redis 7.0 blames COMMAND itself", theirs="wrong number of arguments for"),
    _differ("redis7", r"CONFIG SET maxmemory-samples", "the upper bound is 64 since Redis 7.2", theirs="2147483647"),
    _differ(
        "redis7",
        r"L(REM|POS) .* -9223372036854775808",
        "the lowest integer is refused since Redis 7.2",
        ours="value is out of range",
    ),
    _differ("redis7", r"ZREV?RANK|ZRANK", "Redis 7.0 has no third argument", theirs="wrong number of arguments"),
    _differ(
        "redis7",
        r"COPY .* DB",
        "since Redis 7.2 the database is looked up before cluster mode is",
        theirs="not allowed in cluster mode",
    ),
    _differ("valkey9", r"CLIENT (LIST|KILL) ID", "Valkey takes several ids and words its errors differently"),
    _differ(
        "redis7",
        r"XINFO (STREAM .* FULL|CONSUMERS)",
        "since Redis 7.2 consumers also tell when they last got something",
        relation=same_but_successes,
    ),
    _differ(
        "valkey9",
        r"HGETDEL",
        "Valkey words what is wrong with FIELDS differently",
        ours="Number of fields|numfields|Mandatory argument",
        theirs="numfields|not an integer|syntax error",
    ),
    _differ(
        "valkey9",
        r"MSETEX",
        "Redis 8.4 and Valkey 9.1 both have MSETEX; Sherd has the error texts of the former",
        ours="invalid numkeys value|wrong number of key-value pairs",
        theirs="invalid numkeys value or out of range|syntax error",
    ),
    _differ("valkey9", r"SCAN .*TYPE", "Valkey refuses a type that it does not know", theirs="unknown type name"),
    _differ(
        "valkey9",
        r"(READONLY|READWRITE|CLUSTER KEYSLOT)",
        "Valkey allows these outside cluster mode; Sherd refuses them as Redis does",
        ours="cluster support disabled",
    ),
    _differ(
        "valkey9",
        r"GETEX",
        "Valkey checks the expiry before the type, Sherd as Redis after it",
        ours="WRONGTYPE|null",
        theirs="invalid expire time|not an integer",
    ),
)


@dataclass(frozen=True)
class Accident:
    """Commands that do in `references` what nobody can want, or what the clock wants.

    They are left out, for the keys that they leave would differ as well.
    """

    references: frozenset[str]
    pattern: re.Pattern[str]
    reason: str


def _accident(references: str, pattern: str, reason: str) -> Accident:
    return Accident(frozenset(references.split()), re.compile(pattern, re.IGNORECASE | re.DOTALL), reason)


ACCIDENTS = (
    _accident(
        "redis8 valkey9",
        r"LSET \S+ [-+]?\d{10}",
        "in a listpack an index is cut off after 32 bits, and another element is set",
    ),
    _accident(
        "redis7 redis8 valkey9",
        r"BITFIELD .*SAT .*SET \S+ \S+ -\d{16}",
        "the distance to a number that far below the range overflows, and the highest value is set instead of the lowest",
    ),
    _accident(
        "valkey9",
        r"HP?EXPIRE(AT)? .*\b(NX|XX|GT|LT) (.* )?(NX|XX|GT|LT) .*FIELDS",
        "conditions that come twice are taken, contradictions among them",
    ),
    _accident("redis7 redis8 valkey9", r"XADD \S+ (.* )?\* ", "the id is the time of day"),
    _accident(
        "redis7",
        r"SORT(_RO)? .*BY [^* ]*( |$)",
        "without an asterisk nothing is sorted, and sets are hash tables in it, whose order is its own",
    ),
    _accident(
        "redis7 redis8 valkey9",
        r"(Z(REV)?RANGEBYSCORE|ZREMRANGEBYSCORE|ZCOUNT) \S+ .*\x00|ZRANGE(STORE)? .*\x00.* BYSCORE",
        "a score that is a bound ends at a zero byte, and what stands behind it is not looked at; as a score it is refused",
    ),
    _accident(
        "redis7 redis8 valkey9",
        r"SORT \S+ (?=.*BY \S*\*)(?=.*ALPHA)(?=.*STORE)",
        "elements that all have no weight are stored in the order of a hash table",
    ),
    _accident(
        "redis7",
        r".* [-+]?1e-?400( |$)",
        "that a number was out of range is remembered, and the next SORT fails for it",
    ),
    _accident(
        "redis7 redis8 valkey9",
        r"SORT(_RO)? .*BY \S*\x00",
        "an asterisk behind a zero byte is not found, and nothing is sorted",
    ),
    _accident(
        "redis7",
        r"X(AUTOCLAIM|CLAIM|READGROUP) ",
        "no consumer is made for a request that finds nothing",
    ),
    _accident(
        "valkey9",
        r"H[SG]ETEX .*\b(EX|PX|EXAT|PXAT|KEEPTTL|PERSIST|FNX|FXX) (.* )?\1 .*FIELDS",
        "options that come twice are taken",
    ),
)


def is_accident(reference: str, command: Command) -> bool:
    """Whether a command is left out of sequences that are compared with `reference`."""
    line = b" ".join(command).decode("latin-1")
    return any(reference in accident.references and accident.pattern.match(line) for accident in ACCIDENTS)


@dataclass(frozen=True)
class EncodingDifference:
    """Keys of a type whose OBJECT ENCODING may differ from that of `references`."""

    references: frozenset[str]
    type: bytes
    ours: frozenset[bytes]
    theirs: frozenset[bytes]
    reason: str
    after: frozenset[bytes] = frozenset()
    """Only where one of these commands was run."""


ENCODING_DIFFERENCES = (
    EncodingDifference(
        frozenset({"redis7"}),
        b"list",
        frozenset({b"listpack"}),
        frozenset({b"quicklist"}),
        "small lists are listpacks since Redis 7.2",
    ),
    EncodingDifference(
        frozenset({"redis8", "valkey9"}),
        b"list",
        frozenset({b"quicklist"}),
        frozenset({b"listpack"}),
        "an element that had a node of its own keeps it when LSET makes it small; the other element's node is not joined",
        after=frozenset({b"LSET"}),
    ),
    EncodingDifference(
        frozenset({"redis7"}),
        b"set",
        frozenset({b"listpack"}),
        frozenset({b"hashtable"}),
        "small sets are listpacks since Redis 7.2",
    ),
    EncodingDifference(
        frozenset({"valkey9"}),
        b"hash",
        frozenset({b"listpackex"}),
        # A listpack when no field was found that could expire.
        frozenset({b"hashtable", b"listpack"}),
        "Valkey has no compact encoding for hashes whose fields expire, Sherd has that of Redis",
    ),
    EncodingDifference(
        frozenset({"redis8"}),
        b"hash",
        frozenset({b"listpack"}),
        frozenset({b"listpackex"}),
        "a hash whose fields have no times any more is dumped as one that never had any",
        after=frozenset({b"RESTORE"}),
    ),
    EncodingDifference(
        frozenset({"redis7", "redis8", "valkey9"}),
        b"zset",
        frozenset({b"listpack"}),
        frozenset({b"skiplist"}),
        "SORT turns small sorted sets into large ones, though it only reads; Sherd sorts a listpack as it is",
        after=frozenset({b"SORT", b"SORT_RO"}),
    ),
    EncodingDifference(
        frozenset({"valkey9"}),
        b"zset",
        frozenset({b"listpack"}),
        frozenset({b"skiplist"}),
        "Valkey makes room for every member that is named, also for those that XX leaves out; Sherd as Redis for those that come",
        after=frozenset({b"ZADD", b"GEOADD"}),
    ),
    EncodingDifference(
        frozenset({"valkey9"}),
        b"string",
        frozenset({b"embstr", b"raw"}),
        frozenset({b"embstr", b"raw"}),
        "Valkey decides between embstr and raw by the size of key and value together, Sherd as Redis by the value",
    ),
)


def is_meant(reference: str, command: Command, ours: Node, theirs: Node) -> bool:
    """Whether an entry excuses this reply to `command` against `reference`."""
    line = b" ".join(command).decode("latin-1")
    return any(
        reference in difference.references and difference.pattern.match(line) and difference.accepts(ours, theirs)
        for difference in DIFFERENCES
    )


def find_encoding_difference(
    reference: str, ours: KeyState, theirs: KeyState, names: frozenset[bytes]
) -> EncodingDifference | None:
    """The entry that excuses an encoding after commands of these names, if there is one."""
    for difference in ENCODING_DIFFERENCES:
        if (
            reference in difference.references
            and ours.type == difference.type
            and ours.encoding in difference.ours
            and theirs.encoding in difference.theirs
            and (not difference.after or difference.after & names)
        ):
            return difference
    return None
