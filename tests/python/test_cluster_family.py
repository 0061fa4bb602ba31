"""CLUSTER as one node with all slots, in the forms of Redis 8.0 and Valkey 9.1."""

from __future__ import annotations

import pytest

from sherd.errors import CommandError
from sherd.families import cluster, cluster_slots
from tests.python.fake_engine import Bench


def _bench(**directives: object) -> Bench:
    return Bench(cluster_enabled=True, **directives)


def _error(bench: Bench, handler: object, *args: str) -> str:
    with pytest.raises(CommandError) as caught:
        bench.call(handler, *args)
    return str(caught.value)


@pytest.mark.parametrize(
    "handler",
    [cluster.cluster_slots, cluster.cluster_info, cluster.cluster_help, cluster.cluster_myid, cluster_slots.cluster_slot_stats],
)  # fmt: skip
def test_without_cluster_mode_every_subcommand_says_so(handler: object) -> None:
    assert _error(Bench(), handler, "CLUSTER", "X", "SLOTSRANGE", "0", "1") == (
        "ERR This instance has cluster support disabled"
    )


def test_slots_name_the_address_that_the_client_is_connected_to() -> None:
    bench = _bench()
    node_id = bench.node.node_id.encode()
    reply = bench.call(cluster.cluster_slots, "CLUSTER", "SLOTS")
    assert reply == (b"*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$8\r\n10.1.2.3\r\n:7000\r\n$40\r\n" + node_id + b"\r\n*0\r\n")
    assert bench.call(cluster.cluster_slots, "CLUSTER", "SLOTS", resp=3).endswith(b"\r\n%0\r\n")


@pytest.mark.parametrize(
    ("local_address", "host", "port"),
    [
        ("[::1]:7000", b"::1", 7000),
        ("127.0.0.1:16379", b"127.0.0.1", 16379),
        ("/run/sherd.sock:0", b"127.0.0.1", 7000),
        ("", b"127.0.0.1", 7000),
    ],
)
def test_the_host_is_never_empty(local_address: str, host: bytes, port: int) -> None:
    reply = _bench().call(cluster.cluster_slots, "CLUSTER", "SLOTS", local_addr=local_address)
    assert b"$%d\r\n%s\r\n:%d\r\n" % (len(host), host, port) in reply


def test_announced_addresses_take_precedence() -> None:
    bench = _bench(cluster_announce_ip="10.0.0.9", cluster_announce_hostname="h.example", cluster_announce_port=70)
    reply = bench.call(cluster.cluster_slots, "CLUSTER", "SLOTS")
    assert b"$8\r\n10.0.0.9\r\n:70\r\n" in reply
    assert reply.endswith(b"*2\r\n$8\r\nhostname\r\n$9\r\nh.example\r\n")


def test_a_preferred_hostname_comes_first_and_the_address_beside_it() -> None:
    bench = _bench(cluster_announce_hostname="h.example", cluster_preferred_endpoint_type="hostname")
    reply = bench.call(cluster.cluster_slots, "CLUSTER", "SLOTS")
    assert b"*4\r\n$9\r\nh.example\r\n:7000\r\n" in reply
    assert reply.endswith(b"*2\r\n$2\r\nip\r\n$8\r\n10.1.2.3\r\n")


def test_a_preferred_hostname_that_is_not_known_is_a_question_mark() -> None:
    reply = _bench(cluster_preferred_endpoint_type="hostname").call(cluster.cluster_slots, "CLUSTER", "SLOTS")
    assert b"*4\r\n$1\r\n?\r\n" in reply


def test_an_unknown_endpoint_is_null() -> None:
    bench = _bench(cluster_preferred_endpoint_type="unknown-endpoint", cluster_announce_hostname="h")
    reply = bench.call(cluster.cluster_slots, "CLUSTER", "SLOTS")
    assert b"*4\r\n$-1\r\n:7000\r\n" in reply
    assert reply.endswith(b"*4\r\n$2\r\nip\r\n$8\r\n10.1.2.3\r\n$8\r\nhostname\r\n$1\r\nh\r\n")


def test_shards_are_maps_in_resp3() -> None:
    bench = _bench(availability_zone="za")
    reply = bench.call(cluster.cluster_shards, "CLUSTER", "SHARDS", resp=3)
    assert reply.startswith(b"*1\r\n%3\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*1\r\n%8\r\n$2\r\nid\r\n")
    assert b"$8\r\nendpoint\r\n$8\r\n10.1.2.3\r\n$4\r\nrole\r\n$6\r\nmaster\r\n" in reply
    assert b"$17\r\navailability-zone\r\n$2\r\nza\r\n" in reply


def test_nodes_is_a_line_of_the_nodes_file() -> None:
    bench = _bench()
    line = f"{bench.node.node_id} 10.1.2.3:7000@17000 myself,master - 0 0 0 connected 0-16383\n"
    assert bench.call(cluster.cluster_nodes, "CLUSTER", "NODES") == f"${len(line)}\r\n{line}\r\n".encode()


def test_a_bus_port_that_would_be_no_port_is_zero() -> None:
    bench = _bench()
    bench.node.listeners = [type(bench.node.listeners[0])("tcp", ("*",), 60000)]
    assert b":60000@0 " in bench.call(cluster.cluster_nodes, "CLUSTER", "NODES", local_addr="10.1.2.3:60000")


def test_info_says_that_all_slots_are_served() -> None:
    text = _bench().call(cluster.cluster_info, "CLUSTER", "INFO")
    for line in (b"cluster_state:ok", b"cluster_slots_ok:16384", b"cluster_known_nodes:1", b"cluster_size:1"):
        assert line + b"\r\n" in text


def test_there_are_no_replicas_links_or_failure_reports() -> None:
    bench = _bench()
    own = bench.node.node_id
    assert bench.call(cluster.cluster_replicas, "CLUSTER", "REPLICAS", own) == b"*0\r\n"
    assert bench.call(cluster.cluster_slaves, "CLUSTER", "SLAVES", own) == b"*0\r\n"
    assert bench.call(cluster.cluster_links, "CLUSTER", "LINKS") == b"*0\r\n"
    assert bench.call(cluster.cluster_count_failure_reports, "CLUSTER", "COUNT-FAILURE-REPORTS", own) == b":0\r\n"
    assert _error(bench, cluster.cluster_replicas, "CLUSTER", "REPLICAS", "foo") == "ERR Unknown node foo"


def test_keys_of_a_slot_are_counted_and_listed() -> None:
    bench = _bench()
    bench.engine.keys_by_slot = {7: [b"a", b"b", b"c"]}
    assert bench.call(cluster_slots.cluster_countkeysinslot, "CLUSTER", "COUNTKEYSINSLOT", "7") == b":3\r\n"
    reply = bench.call(cluster_slots.cluster_getkeysinslot, "CLUSTER", "GETKEYSINSLOT", "7", "2")
    assert reply == b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"


@pytest.mark.parametrize(
    ("handler", "args", "message"),
    [
        (cluster_slots.cluster_countkeysinslot, ("16384",), "ERR Invalid slot"),
        (cluster_slots.cluster_countkeysinslot, ("x",), "ERR value is not an integer or out of range"),
        (cluster_slots.cluster_getkeysinslot, ("7", "-1"), "ERR Invalid slot or number of keys"),
        (cluster_slots.cluster_getkeysinslot, ("99999", "1"), "ERR Invalid slot or number of keys"),
        (cluster_slots.cluster_getkeysinslot, ("x", "y"), "ERR value is not an integer or out of range"),
        (cluster_slots.cluster_getkeysinslot, ("7", "9" * 30), "ERR value is not an integer or out of range"),
    ],
)
def test_slots_and_counts_out_of_range_are_refused(handler: object, args: tuple[str, ...], message: str) -> None:
    assert _error(_bench(), handler, "CLUSTER", "X", *args) == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("SLOTSRANGE 3 0", "ERR Start slot number 3 is greater than end slot number 0"),
        ("SLOTSRANGE 3 99999", "ERR Invalid or out of range slot"),
        ("SLOTSRANGE 01 3", "ERR Invalid or out of range slot"),
        ("SLOTSRANGE 1 2 3",
         "ERR unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP."),
        ("foo bar", "ERR unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP."),
        ("ORDERBY foo LIMIT 2", "ERR Unrecognized sort metric for ORDERBY."),
        ("ORDERBY KEY-COUNT FOO", "ERR syntax error"),
        ("ORDERBY KEY-COUNT LIMIT", "ERR syntax error"),
        ("ORDERBY KEY-COUNT LIMIT 0", "ERR Limit has to lie in between 1 and 16384 (maximum number of slots)."),
        ("ORDERBY KEY-COUNT LIMIT x", "ERR Limit has to lie in between 1 and 16384 (maximum number of slots)."),
        ("ORDERBY KEY-COUNT ASC DESC", "ERR Multiple filters of the same type are disallowed."),
        ("ORDERBY KEY-COUNT LIMIT 2 DESC LIMIT 3", "ERR Multiple filters of the same type are disallowed."),
    ],
)  # fmt: skip
def test_slot_stats_refuses_what_valkey_refuses(words: str, message: str) -> None:
    assert _error(_bench(), cluster_slots.cluster_slot_stats, "CLUSTER", "SLOT-STATS", *words.split()) == message


def test_slot_stats_orders_by_keys_and_then_by_slot() -> None:
    bench = _bench()
    bench.engine.keys_by_slot = {12182: [b"foo"]}
    stats = cluster_slots.cluster_slot_stats
    descending = bench.call(stats, "CLUSTER", "SLOT-STATS", "ORDERBY", "KEY-COUNT", "LIMIT", "2", "DESC")
    assert descending == (
        b"*2\r\n*2\r\n:12182\r\n*2\r\n$9\r\nkey-count\r\n:1\r\n*2\r\n:0\r\n*2\r\n$9\r\nkey-count\r\n:0\r\n"
    )
    ascending = bench.call(stats, "CLUSTER", "SLOT-STATS", "ORDERBY", "key-count", "asc", "limit", "1", resp=3)
    assert ascending == b"*1\r\n*2\r\n:0\r\n%1\r\n$9\r\nkey-count\r\n:0\r\n"
    ranged = bench.call(stats, "CLUSTER", "SLOT-STATS", "SLOTSRANGE", "12182", "12183")
    assert ranged.startswith(b"*2\r\n*2\r\n:12182\r\n*2\r\n$9\r\nkey-count\r\n:1\r\n*2\r\n:12183\r\n")
