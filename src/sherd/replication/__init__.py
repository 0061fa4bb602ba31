"""Replication: following a primary.

# Layout
- `handshake`: what is said to a primary before anything else flows
- `follower`: the link to it, kept up, and what changes with the role
"""

from sherd.replication.follower import Follower

__all__ = ["Follower"]
