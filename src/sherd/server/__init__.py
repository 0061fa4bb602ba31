"""One running server: the process around it, its listeners, its control loop.

# Layout
- `server`: `Server` for Python programs, `run` for the command line
- `runtime`: one server's life from configuration to the last reply
- `control`: requests of the data plane, answered by the command families
- `commands`: declaring the control plane's, renaming, loading those in Python
- `script_calls`: control commands of scripts, in a thread of their own
- `settings`, `tls`: configuration values as the data plane takes them
- `listeners`: addresses, ports, Unix sockets
- `metrics_page`: the metrics page, where the configuration has it
- `arguments`: secrets of the command line
- `process`: descriptors, pid file, signals, the end
- `unowned`: callbacks that keep nothing alive
- `check`: what only these parts can tell of a configuration, for `check-config`
"""

from sherd.server.server import Server, run

__all__ = ["Server", "run"]
