"""Money moves between accounts on different shards, and at no moment is there more or less of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.atomic.crowd import run_crowd
from tests.support.servers import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Server, ServerPool
    from tests.support.wire import Wire

account_count = 24
opening_balance = 100
transfer_count = 600
writer_count = 6
reader_count = 3

accounts = [f"account:{number}" for number in range(account_count)]
total = account_count * opening_balance


@pytest.fixture(params=[1, 4])
def bank(request: pytest.FixtureRequest, pool: ServerPool) -> Server:
    """A server with open accounts: one shard, and four, with several IO threads."""
    server = pool.get(shape=Shape(shards=request.param, io_threads=4))
    with server.wire() as wire:
        arguments: list[str] = []
        for account in accounts:
            arguments += [account, str(opening_balance)]
        assert wire.call("MSET", *arguments).raw == b"+OK\r\n"
    return server


def _sum_by_mget(wire: Wire) -> None:
    assert sum(map(int, wire.value("MGET", *accounts))) == total


def _sum_by_exec(wire: Wire) -> None:
    replies = wire.pipeline([("MULTI",), *[("GET", account) for account in accounts], ("EXEC",)])
    assert sum(map(int, replies[-1].value)) == total


def _sum_twice_in_one_exec(wire: Wire) -> None:
    """Two readings inside one transaction see the same moment."""
    replies = wire.pipeline([("MULTI",), ("MGET", *accounts), ("MGET", *reversed(accounts)), ("EXEC",)])
    first, second = replies[-1].value
    assert first == second[::-1]


readers: list[Callable[[Wire], None]] = [_sum_by_mget, _sum_by_exec, _sum_twice_in_one_exec]


def _transfer_by_exec(seed: int) -> Callable[[Wire], None]:
    def work(wire: Wire) -> None:
        generator = random.Random(seed)
        for _ in range(transfer_count):
            source, target = generator.sample(accounts, 2)
            amount = str(generator.randrange(1, 50))
            replies = wire.pipeline([("MULTI",), ("DECRBY", source, amount), ("INCRBY", target, amount), ("EXEC",)])
            assert len(replies[-1].value) == 2

    return work


def _transfer_by_watch(seed: int) -> Callable[[Wire], None]:
    def work(wire: Wire) -> None:
        generator = random.Random(seed)
        for _ in range(transfer_count // 2):
            source, target = generator.sample(accounts, 2)
            amount = generator.randrange(1, 50)
            for _attempt in range(10_000):
                wire.call("WATCH", source, target)
                held, owned = map(int, wire.value("MGET", source, target))
                new_balances = (source, str(held - amount), target, str(owned + amount))
                replies = wire.pipeline([("MULTI",), ("MSET", *new_balances), ("EXEC",)])
                if replies[-1].value is not None:
                    break
            else:
                raise AssertionError("no attempt succeeded: WATCH reports changes that nobody made")

    return work


def test_transfers_by_exec_keep_the_sum(bank: Server) -> None:
    """MULTI, DECRBY, INCRBY, EXEC from several connections, while readers add up."""
    run_crowd(bank, [_transfer_by_exec(seed) for seed in range(writer_count)], readers[:reader_count])
    with bank.wire() as wire:
        _sum_by_mget(wire)


def test_the_readers_notice_transfers_without_a_transaction(bank: Server) -> None:
    """The proof that these tests can fail: the same transfers as two separate commands are caught."""

    def work(wire: Wire) -> None:
        generator = random.Random(1)
        for _ in range(transfer_count * 4):
            source, target = generator.sample(accounts, 2)
            wire.call("DECRBY", source, "10")
            wire.call("INCRBY", target, "10")

    with pytest.raises(AssertionError):
        run_crowd(bank, [work] * writer_count, [_sum_by_mget, _sum_by_exec])


def test_transfers_by_watch_lose_no_update(bank: Server) -> None:
    """Read, compute in the client, write under WATCH: a lost update would change the sum."""
    run_crowd(bank, [_transfer_by_watch(seed) for seed in range(4)], readers[:2])
    with bank.wire() as wire:
        _sum_by_mget(wire)


def test_transfers_of_all_kinds_keep_the_sum(bank: Server) -> None:
    """EXEC and WATCH mixed, over the same accounts."""
    work = [_transfer_by_exec(1), _transfer_by_watch(2), _transfer_by_exec(3), _transfer_by_watch(4)]
    run_crowd(bank, work, readers)
    with bank.wire() as wire:
        _sum_by_mget(wire)


def test_transactions_on_the_same_keys_in_opposite_order_do_not_deadlock(bank: Server) -> None:
    """Half go up through the accounts, half go down."""

    def work(order: list[str]) -> Callable[[Wire], None]:
        def run(wire: Wire) -> None:
            for _ in range(150):
                replies = wire.pipeline([("MULTI",), *[("INCRBY", account, "1") for account in order], ("EXEC",)])
                assert len(replies[-1].value) == account_count

        return run

    run_crowd(bank, [work(accounts), work(accounts[::-1])] * 3)
    with bank.wire() as wire:
        assert wire.value("MGET", *accounts) == [str(opening_balance + 900).encode()] * account_count


def test_watch_counts_every_increment_exactly_once(bank: Server) -> None:
    """An optimistic counter from several connections ends at the number of successes."""
    per_writer = 100

    def work(wire: Wire) -> None:
        succeeded = 0
        while succeeded < per_writer:
            wire.call("WATCH", "counter")
            current = int(wire.value("GET", "counter") or 0)
            replies = wire.pipeline([("MULTI",), ("SET", "counter", str(current + 1)), ("EXEC",)])
            succeeded += replies[-1].value is not None

    run_crowd(bank, [work] * 4)
    with bank.wire() as wire:
        assert wire.value("GET", "counter") == str(4 * per_writer).encode()


script_texts = 60


def _transfer_by_new_scripts(seed: int) -> Callable[[Wire], None]:
    """Each text is known to keep to its key when several clients leave it, in pipelines with commands for the key's shard."""

    def work(wire: Wire) -> None:
        generator = random.Random(seed)
        for text_number in range(script_texts):
            text = (
                f"local target = ARGV[2] local held = redis.call('get', target) -- {text_number}\n"
                "redis.call('decrby', KEYS[1], ARGV[1]) return redis.call('incrby', target, ARGV[1])"
            )
            source, target = generator.sample(accounts, 2)
            own = ("EVAL", text, "1", source, "1", source)
            away = ("EVAL", text, "1", source, "1", target)
            before, _, _, there, stays, back, again = wire.pipeline([
                ("GET", source), own, own, away, own, ("EVAL", text, "1", target, "1", source), ("MULTI",),
            ])  # fmt: skip
            assert not any(reply.is_error for reply in (before, there, stays, back, again)), there.raw
            replies = wire.pipeline([away, ("GET", source), ("EVAL", text, "1", target, "1", source), ("EXEC",)])
            assert len(replies[-1].value) == 3

    return work


def test_scripts_that_begin_again_with_all_shards_transfer_once(bank: Server) -> None:
    """What a script had read before it began again counts for nothing, and nothing of it happens twice."""
    run_crowd(bank, [_transfer_by_new_scripts(seed) for seed in range(writer_count)], readers[:2])
    with bank.wire() as wire:
        _sum_by_mget(wire)
        assert sorted(map(int, wire.value("MGET", *accounts))) == [opening_balance] * account_count
