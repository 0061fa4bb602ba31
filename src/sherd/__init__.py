"""Sherd: a Redis-compatible, multi-threaded, sharded in-memory data store.

The control plane. Everything an operator or an extender reads or changes is in this package; sockets, keyspace and data
commands are in the compiled data plane, which only `sherd.native` imports.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sherd")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.1.0"
