"""Sherd: a Redis-compatible, multi-threaded, sharded in-memory data store.

The control plane. Everything an operator or an extender reads or changes is in this package; sockets, keyspace and data
commands are in the compiled data plane, which only `sherd.native` imports.

    import sherd

    with sherd.Server() as server:
        print(server.port)
"""

# The standard library's own checks of types and versions take longer to import than `sherd --version` may take.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sherd.server import Server

# The same as in Cargo.toml, which the package's metadata comes from; a test compares them.
__version__ = "0.1.0"

__all__ = ["Server", "__version__"]


def __getattr__(name: str) -> object:
    # Loaded when asked for: `sherd --version` needs neither the data plane nor an event loop.
    if name == "Server":
        from sherd.server import Server

        return Server
    raise AttributeError(f"module 'sherd' has no attribute '{name}'")
