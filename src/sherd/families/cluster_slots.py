"""CLUSTER's commands about slots and their keys: KEYSLOT, COUNTKEYSINSLOT, GETKEYSINSLOT, SLOT-STATS."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sherd.errors import SYNTAX_ERROR, CommandError
from sherd.families.cluster import SLOTS, node_of
from sherd.families.numbers import read_integer
from sherd.resp import Encoded, Reply, encode
from sherd.spec import Request, command


@command("cluster|keyslot", reads="config", arity=3, flags="stale", group="cluster", since="3.0.0",
         summary="Returns the slot of a key.",
         complexity="O(N) where N is the number of bytes in the key", syntax="key")  # fmt: skip
def cluster_keyslot(request: Request) -> Reply:
    """A slot's number."""
    from sherd.native import key_slot

    node_of(request)
    return key_slot(request.args[2])


@command("cluster|countkeysinslot", shards=True, arity=3, flags="stale", group="cluster", since="3.0.0",
         summary="Returns the number of keys in a slot.", complexity="O(1)", syntax="slot")  # fmt: skip
def cluster_countkeysinslot(request: Request) -> Reply:
    """A whole number."""
    node = node_of(request)
    slot = read_integer(request.args[2])
    if not 0 <= slot < SLOTS:
        raise CommandError("ERR Invalid slot")
    return node.engine.slot_key_counts(slot, slot)[0]


@command("cluster|getkeysinslot", shards=True, arity=4, flags="stale", group="cluster", since="3.0.0",
         summary="Returns keys of a slot.", complexity="O(N) where N is the number of requested keys",
         syntax="slot count", tips=("nondeterministic_output",))  # fmt: skip
def cluster_getkeysinslot(request: Request) -> Reply:
    """At most as many keys as asked for, in no particular order."""
    node = node_of(request)
    slot, count = read_integer(request.args[2]), read_integer(request.args[3])
    if not 0 <= slot < SLOTS or count < 0:
        raise CommandError("ERR Invalid slot or number of keys")
    return list(node.engine.keys_in_slot(slot, count))


@command("cluster|slot-stats", shards=True, arity=-4, flags="loading stale", group="cluster", since="8.0.0",
         summary="Returns the number of keys of several slots.",
         complexity="O(N) where N is the total number of slots based on arguments. "
         "O(N*log(N)) with ORDERBY subcommand.",
         syntax="<SLOTSRANGE start-slot end-slot | ORDERBY metric [LIMIT limit] [ASC | DESC]>",
         tips=("nondeterministic_output", "request_policy:all_shards"))  # fmt: skip
def cluster_slot_stats(request: Request) -> Reply:
    """[slot, {"key-count": keys}] a slot, by slot or by its number of keys."""
    node = node_of(request)
    kind, words = request.args[2].lower(), request.args[3:]
    if kind == b"slotsrange" and len(words) == 2:
        first, last = (_slot(word) for word in words)
        if first > last:
            raise CommandError(f"ERR Start slot number {first} is greater than end slot number {last}")
        return _stats(enumerate(node.engine.slot_key_counts(first, last), first), request.resp)
    if kind == b"orderby":
        limit, descending = _order(words)
        counts = node.engine.slot_key_counts(0, SLOTS - 1)
        # Of equal ones the lower slot comes first, in either direction.
        slots = sorted(range(SLOTS), key=counts.__getitem__, reverse=descending)[:limit]
        return _stats(((slot, counts[slot]) for slot in slots), request.resp)
    raise CommandError("ERR unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP.")


def _stats(rows: Iterable[tuple[int, int]], resp: int) -> Reply:
    """One form filled in for each slot: there are up to 16384 of them, and a transaction holds the shards meanwhile."""
    form = encode([0, {"key-count": 0}], resp).replace(b"%", b"%%").replace(b":0", b":%d")
    stats = [form % row for row in rows]
    return Encoded(b"*%d\r\n%b" % (len(stats), b"".join(stats)))


def _slot(word: bytes) -> int:
    if not re.fullmatch(rb"0|[1-9][0-9]{0,4}", word) or int(word) >= SLOTS:
        raise CommandError("ERR Invalid or out of range slot")
    return int(word)


def _order(words: list[bytes]) -> tuple[int, bool]:
    """How many slots, and whether those with the most keys come first."""
    if words[0].lower() != b"key-count":
        raise CommandError("ERR Unrecognized sort metric for ORDERBY.")
    limit: int | None = None
    descending: bool | None = None
    rest = iter(words[1:])
    for word in rest:
        name = word.lower()
        if name == b"limit":
            value = next(rest, None)
            if value is None:
                raise CommandError(SYNTAX_ERROR)
            _once(limit)
            limit = _limit(value)
        elif name in (b"asc", b"desc"):
            _once(descending)
            descending = name == b"desc"
        else:
            raise CommandError(SYNTAX_ERROR)
    return limit or SLOTS, True if descending is None else descending


def _once(given: int | bool | None) -> None:
    if given is not None:
        raise CommandError("ERR Multiple filters of the same type are disallowed.")


def _limit(word: bytes) -> int:
    if not re.fullmatch(rb"[1-9][0-9]{0,4}", word) or not 1 <= int(word) <= SLOTS:
        raise CommandError("ERR Limit has to lie in between 1 and 16384 (maximum number of slots).")
    return int(word)
