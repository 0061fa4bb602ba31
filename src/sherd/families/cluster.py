"""CLUSTER for one node that owns all slots.

Cluster-mode clients work against a single Sherd as they do against a cluster: they ask for the slots, get one range and
one node, and route everything there. The keyspace is sharded inside of the process, which is nobody's business here.

The address that a client is told is the one that it connected to: it works through port mappings, on a laptop and in a
container alike, and it is never empty, which some clients take for "ask again" for ever. cluster-announce-* settings
and `cluster-preferred-endpoint-type` take precedence, as in Redis.
"""

from __future__ import annotations

from sherd.config import Config
from sherd.errors import CommandError
from sherd.families.cluster_help import HELP
from sherd.families.help_lines import help_reply
from sherd.observability.node import Node
from sherd.record import record
from sherd.resp import Reply, Verbatim
from sherd.spec import Request, command, container

SLOTS = 16384
_LAST_SLOT = SLOTS - 1
_BUS_PORT_OFFSET = 10000
_PORT_MAX = 65535
_COMMON = {"group": "cluster", "since": "3.0.0"}
_CHANGING = ("nondeterministic_output",)

container(
    "cluster",
    summary="Groups the commands about the cluster.",
    complexity="Depends on subcommand.",
    **_COMMON,
)


@record
class Endpoint:
    """Where clients find this node, and what they are told besides.

    `preferred` is the host that they should use, None for "the one that you are connected to".
    """

    preferred: str | None
    address: str
    hostname: str
    port: int
    bus_port: int
    zone: str

    def metadata(self) -> dict[str, Reply]:
        """What CLUSTER SLOTS says besides the preferred host."""
        told: dict[str, Reply] = {}
        if self.preferred != self.address:
            told["ip"] = self.address
        if self.hostname and self.preferred != self.hostname:
            told["hostname"] = self.hostname
        if self.zone:
            told["availability-zone"] = self.zone
        return told


def node_of(request: Request) -> Node:
    """The node; an error where cluster mode is off."""
    node = request.services.get(Node)
    if not node.cluster_enabled:
        raise CommandError("ERR This instance has cluster support disabled")
    return node


def endpoint_of(request: Request) -> Endpoint:
    """The endpoint as the asking client should see it."""
    config, node = request.services.get(Config), request.services.get(Node)
    address = config.get_str("cluster-announce-ip") or connected_host(request.local_addr)
    hostname = config.get_str("cluster-announce-hostname")
    kind = config.get_str("cluster-preferred-endpoint-type")
    preferred = {"ip": address, "hostname": hostname or "?", "unknown-endpoint": None}[kind]
    port = config.get_int("cluster-announce-port") or connected_port(request.local_addr) or node.port
    bus_port = config.get_int("cluster-announce-bus-port") or config.get_int("cluster-port") or node.port
    if bus_port == node.port:
        # There is no bus; the number is the one that clients expect, as far as it is a port.
        bus_port = node.port + _BUS_PORT_OFFSET if node.port + _BUS_PORT_OFFSET <= _PORT_MAX else 0
    return Endpoint(preferred, address, hostname, port, bus_port, config.get_str("availability-zone"))


def connected_host(local_address: str) -> str:
    """The host of "host:port"; this machine for a client of a Unix socket."""
    host = local_address.rpartition(":")[0].strip("[]")
    return host if host and "/" not in host else "127.0.0.1"


def connected_port(local_address: str) -> int:
    """The port of "host:port"; 0 for a client of a Unix socket."""
    host, _, port = local_address.rpartition(":")
    return int(port) if port.isdigit() and "/" not in host else 0


@command("cluster|slots", reads="config", arity=2, flags="loading stale", summary="Returns which node has which slots.",
         complexity="O(N) where N is the total number of Cluster nodes", tips=_CHANGING,
         history=(("4.0.0", "Node ids."), ("7.0.0", "More about the network.")),
         deprecated=("7.0.0", "`CLUSTER SHARDS`"), **_COMMON)  # fmt: skip
def cluster_slots(request: Request) -> Reply:
    """[first slot, last slot, [host, port, id, more about the network]]."""
    node, endpoint = node_of(request), endpoint_of(request)
    return [[0, _LAST_SLOT, [endpoint.preferred, endpoint.port, node.node_id, endpoint.metadata()]]]


@command("cluster|shards", reads="config", arity=2, flags="loading stale", group="cluster", since="7.0.0",
         summary="Returns the groups of nodes and their slots.",
         complexity="O(N) where N is the total number of cluster nodes", tips=_CHANGING)  # fmt: skip
def cluster_shards(request: Request) -> Reply:
    """A map a group: its slot ranges and a map for each of its nodes."""
    node, endpoint = node_of(request), endpoint_of(request)
    described: dict[str, Reply] = {
        "id": node.node_id,
        "port": endpoint.port,
        "ip": endpoint.address,
        "endpoint": endpoint.address if endpoint.preferred is None else endpoint.preferred,
    }
    if endpoint.hostname:
        described["hostname"] = endpoint.hostname
    described |= {"role": "master", "replication-offset": 0, "health": "online"}
    if endpoint.zone:
        described["availability-zone"] = endpoint.zone
    return [{"slots": [0, _LAST_SLOT], "nodes": [described], "id": node.shard_id}]


@command("cluster|nodes", reads="config", arity=2, flags="stale",
         summary="Returns the nodes in the form of the nodes.conf file.",
         complexity="O(N) where N is the total number of Cluster nodes", tips=_CHANGING, **_COMMON)  # fmt: skip
def cluster_nodes(request: Request) -> Reply:
    """A line a node."""
    node, endpoint = node_of(request), endpoint_of(request)
    address = f"{endpoint.address}:{endpoint.port}@{endpoint.bus_port}"
    hostname = f",{endpoint.hostname}" if endpoint.hostname else ""
    return Verbatim("txt", f"{node.node_id} {address}{hostname} myself,master - 0 0 0 connected 0-{_LAST_SLOT}\n")


@command("cluster|info", reads="config", arity=2, flags="stale", summary="Returns the state of the cluster.",
         complexity="O(1)", tips=_CHANGING, **_COMMON)  # fmt: skip
def cluster_info(request: Request) -> Reply:
    """Lines of `name:value`."""
    node_of(request)
    return Verbatim("txt", "".join(f"{name}:{value}\r\n" for name, value in INFO_FIELDS))


INFO_FIELDS: tuple[tuple[str, int | str], ...] = (
    ("cluster_state", "ok"),
    ("cluster_slots_assigned", SLOTS),
    ("cluster_slots_ok", SLOTS),
    ("cluster_slots_pfail", 0),
    ("cluster_slots_fail", 0),
    ("cluster_nodes_pfail", 0),
    ("cluster_nodes_fail", 0),
    ("cluster_voting_nodes_pfail", 0),
    ("cluster_voting_nodes_fail", 0),
    ("cluster_known_nodes", 1),
    ("cluster_size", 1),
    ("cluster_current_epoch", 0),
    ("cluster_my_epoch", 0),
    ("cluster_stats_messages_sent", 0),
    ("cluster_stats_messages_received", 0),
    ("total_cluster_links_buffer_limit_exceeded", 0),
)


@command("cluster|myid", reads="config", arity=2, flags="stale", summary="Returns this node's id.", complexity="O(1)",
         **_COMMON)  # fmt: skip
def cluster_myid(request: Request) -> Reply:
    """40 hexadecimal digits."""
    return node_of(request).node_id


@command("cluster|myshardid", reads="config", arity=2, flags="stale", group="cluster", since="7.2.0",
         summary="Returns the id of this node's group.", complexity="O(1)", tips=_CHANGING)  # fmt: skip
def cluster_myshardid(request: Request) -> Reply:
    """40 hexadecimal digits."""
    return node_of(request).shard_id


@command("cluster|links", reads="config", arity=2, flags="stale", group="cluster", since="7.0.0",
         summary="Returns the connections to other nodes.",
         complexity="O(N) where N is the total number of Cluster nodes", tips=_CHANGING)  # fmt: skip
def cluster_links(request: Request) -> Reply:
    """Empty: there are no other nodes."""
    node_of(request)
    return []


def _known_node(request: Request) -> None:
    wanted = request.args[2].decode("latin-1")
    if wanted != node_of(request).node_id:
        raise CommandError(f"ERR Unknown node {wanted}")


@command("cluster|replicas", reads="config", arity=3, flags="admin stale", group="cluster", since="5.0.0",
         summary="Returns the replicas of a node.", complexity="O(N) where N is the number of replicas.",
         syntax="node-id", tips=_CHANGING)  # fmt: skip
def cluster_replicas(request: Request) -> Reply:
    """Empty for this node, the only one."""
    _known_node(request)
    return []


@command("cluster|slaves", reads="config", arity=3, flags="admin stale", summary="Returns the replicas of a node.",
         complexity="O(N) where N is the number of replicas.", syntax="node-id", tips=_CHANGING,
         deprecated=("5.0.0", "`CLUSTER REPLICAS`"), **_COMMON)  # fmt: skip
def cluster_slaves(request: Request) -> Reply:
    """As CLUSTER REPLICAS."""
    return cluster_replicas(request)


@command("cluster|count-failure-reports", reads="config", arity=3, flags="admin stale",
         summary="Returns how many nodes say that a node is failing.",
         complexity="O(N) where N is the number of failure reports", syntax="node-id", tips=_CHANGING,
         **_COMMON)  # fmt: skip
def cluster_count_failure_reports(request: Request) -> Reply:
    """0 for this node: there is nobody to report it."""
    _known_node(request)
    return 0


@command("cluster|help", arity=2, flags="loading stale", group="cluster", since="5.0.0",
         summary="Describes the subcommands.", complexity="O(1)")  # fmt: skip
def cluster_help(request: Request) -> Reply:
    """Lines of text."""
    node_of(request)
    return help_reply("cluster", HELP)
