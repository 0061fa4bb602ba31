"""Replication: following a primary, and being followed.

# Layout
- `handshake`: what is said to a primary before anything else flows, over a connection of `sherd.wire`
- `follower`: the link to it, kept up, and what changes with the role
- `primary`: who follows this server, and what they are sent first
- `failover`: handing the primary's part over
"""

from sherd.replication.failover import Failover
from sherd.replication.follower import Follower
from sherd.replication.primary import Contents, Primary

__all__ = ["Contents", "Failover", "Follower", "Primary"]
