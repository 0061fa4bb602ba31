"""The one table of configuration parameters; its rows stand in the modules beside this one, by topic.

# Layout
`network`, `process`, `keyspace`, `security`, `observability`, `persistence`, `replication`, `cluster`.

A new parameter is one row in one of them. Names are unique over the whole table, aliases included.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sherd.config.parameter import ConfigParam
from sherd.config.table import (
    cluster,
    keyspace,
    network,
    observability,
    persistence,
    process,
    replication,
    security,
)

# The rows by topic, as `sherd serve --help` groups them.
TOPICS: Mapping[str, tuple[ConfigParam, ...]] = MappingProxyType({
    "Network, clients and threads": network.PARAMETERS,
    "Process": process.PARAMETERS,
    "Keys, memory and encodings": keyspace.PARAMETERS,
    "Security": security.PARAMETERS,
    "Observability": observability.PARAMETERS,
    "Persistence": persistence.PARAMETERS,
    "Replication": replication.PARAMETERS,
    "Cluster": cluster.PARAMETERS,
})  # fmt: skip

PARAMETERS: tuple[ConfigParam, ...] = tuple(parameter for rows in TOPICS.values() for parameter in rows)


def _index() -> Mapping[str, ConfigParam]:
    index: dict[str, ConfigParam] = {}
    for parameter in PARAMETERS:
        for name in (parameter.name, *parameter.aliases):
            assert name not in index, f"{name} is declared twice"
            index[name] = parameter
    return MappingProxyType(index)


# Every name and alias, in the order of the table.
BY_NAME: Mapping[str, ConfigParam] = _index()
