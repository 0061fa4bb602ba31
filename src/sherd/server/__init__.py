"""One running server: the process around it, its listeners, its control loop.

# Layout
- `server`: `Server` for Python programs, `run` for the command line
- `runtime`: one server's life from configuration to the last reply
- `control`: requests of the data plane, answered by the command families
- `settings`: configuration values as the data plane takes them
- `listeners`: addresses, ports, Unix sockets
- `process`: descriptors, pid file
"""

from sherd.server.server import Server, run

__all__ = ["Server", "run"]
