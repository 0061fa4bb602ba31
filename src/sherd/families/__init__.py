"""Control-plane commands, one module a family; importing a family declares its commands.

# Layout
- one module a family: `acl`, `command`, `commandlog`, `config`, `hotkeys`, `info`, `latency`, `lolwut`, `memory`,
  `migrate`, `module`, `sherd`, `slowlog`; `cluster`, `cluster_slots` and `cluster_help` (CLUSTER); `persistence` (SAVE,
  BGREWRITEAOF, WAITAOF and the like), `replication` (REPLICAOF, ROLE, WAIT and the like), `server` (TIME, SHUTDOWN)
- `help_lines`: the form of the HELP subcommands; `numbers`: whole numbers among arguments
- `interruption`: what a client is answered whose wait was interrupted
- `data_plane`: what families ask of the data plane, as plain callables
- `command_table`: the table of all commands of both planes; `command_docs`: a row as COMMAND DOCS gives it
- `dispatch`: runs a handler and encodes what it returns
"""

from __future__ import annotations

import importlib
from pathlib import Path


def load_families() -> None:
    """Import every module of this package, so that all control-plane commands are declared."""
    # `pkgutil.iter_modules` would load `inspect` for this.
    for file in sorted(Path(__path__[0]).glob("[!_]*.py")):
        importlib.import_module(f"{__name__}.{file.stem}")
