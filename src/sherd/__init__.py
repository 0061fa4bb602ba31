"""Sherd: a Redis-compatible, multi-threaded, sharded in-memory data store.

The control plane. Everything an operator or an extender reads or changes is in this package; sockets, keyspace and data
commands are in the compiled data plane, which only `sherd.native` imports.

    import sherd

    with sherd.Server() as server:
        print(server.port)

Commands of one's own, see docs/python-commands.md:

    @sherd.command("rate.limit", keys=1)
    def rate_limit(call: sherd.Call, key: bytes, limit: int, window_seconds: int) -> bool: ...

# Layout
From the top to the bottom, which import-linter holds:
- `cli`: the `sherd` command, with `directive_help` and `certificates`
- `server`: one running server
- `families`: the commands of the control plane
- `replication`, `persistence`, `acl`, `scripting`, `extensions`: what these are about
- `wire`: connections to other servers
- `observability`: INFO, metrics, logs
- `config`: the directives
- `native`: the data plane
- `spec`, `syntax`, `resp`, `replies`: what a command is, its syntax and reply; replies of other servers
- `errors`, `log`, `threads`, `record`, `later`, `durable`: what all of them use
"""

# The standard library's own checks of types and versions take longer to import than `sherd --version` may take.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sherd.errors import CommandError, ConfigError, SherdError
    from sherd.extensions.declare import Event, command, every, on
    from sherd.native import Call
    from sherd.resp import Error
    from sherd.resp import Simple as Status
    from sherd.server import Server

# The same as in Cargo.toml, which the package's metadata comes from; a test compares them.
__version__ = "0.1.0"

__all__ = [
    "Call",
    "CommandError",
    "ConfigError",
    "Error",
    "Event",
    "Server",
    "SherdError",
    "Status",
    "__version__",
    "command",
    "every",
    "on",
]

# Where each name is, and what it is called there.
_PLACES = {
    "Call": ("sherd.native", "Call"),
    "CommandError": ("sherd.errors", "CommandError"),
    "ConfigError": ("sherd.errors", "ConfigError"),
    "Error": ("sherd.resp", "Error"),
    "Event": ("sherd.extensions.declare", "Event"),
    "Server": ("sherd.server", "Server"),
    "SherdError": ("sherd.errors", "SherdError"),
    "Status": ("sherd.resp", "Simple"),
    "command": ("sherd.extensions.declare", "command"),
    "every": ("sherd.extensions.declare", "every"),
    "on": ("sherd.extensions.declare", "on"),
}


def __getattr__(name: str) -> object:
    # Loaded when asked for: `sherd --version` needs neither the data plane nor an event loop.
    if name not in _PLACES:
        raise AttributeError(f"module 'sherd' has no attribute '{name}'")
    from importlib import import_module

    module, own_name = _PLACES[name]
    found = getattr(import_module(module), own_name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    # What is loaded later is shown by `dir`, and completed by shells, as what is there.
    return sorted({*globals(), *__all__})
