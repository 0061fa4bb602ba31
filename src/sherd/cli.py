"""The `sherd` command: serve, check-config, --version, --help.

Directives belong to the configuration, not to an argument parser: everything after the subcommand goes to
`sherd.config` as it is, so that `--save "" --port 0` means what it means to redis-server. argparse was left aside for
that reason; it would need an option a parameter and still get `--save` wrong.

Exit codes: 0 all is well, 1 with one line on the standard error where something is wrong.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Sequence

from sherd import __version__
from sherd.config import PARAMETERS, Config, ConfigParam, load_config
from sherd.errors import SherdError

USAGE = """\
sherd: a Redis-compatible, multi-threaded, sharded in-memory data store

Usage:
  sherd serve [redis.conf | -] [--directive value ...]
  sherd check-config [redis.conf | -] [--directive value ...]
  sherd --version
  sherd --help

Commands:
  serve         run the server in the foreground until it gets SIGINT or SIGTERM
  check-config  read the configuration as serve would, say what is wrong with it, start nothing

Configuration, the later one wins:
  redis.conf                 a file in Redis' format, or - for the standard input
  SHERD_<DIRECTIVE>=value    environment, with dashes as underscores: SHERD_MAXMEMORY=1gb
  SHERD_<DIRECTIVE>_FILE     environment, for secrets: the file that holds the value
  REDIS_PASSWORD[_FILE]      environment, the same as SHERD_REQUIREPASS[_FILE]
  --directive value          command line: --port 6380 --save "" --log-format json

Examples:
  sherd serve
  sherd serve /etc/sherd/redis.conf --maxmemory 2gb --maxmemory-policy allkeys-lru
  sherd serve --bind 127.0.0.1 --port 7000 --shards 4 --io-threads 4 --log-format json

Directives:
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0 if words else 1
    if words[0] in ("-v", "--version", "version"):
        print(f"sherd {__version__}")
        return 0
    action = _ACTIONS.get(words[0])
    if action is None:
        return _fail(f"unknown command '{words[0]}' (try sherd --help)")
    if any(word in ("-h", "--help") for word in words[1:]):
        print(help_text())
        return 0
    try:
        return action(_read_config(words[1:]))
    except SherdError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130


def _read_config(words: Sequence[str]) -> Config:
    config_file = words[0] if words and not words[0].startswith("--") else None
    return load_config(config_file, words[1:] if config_file is not None else words)


def _serve(config: Config) -> int:
    # Imported here: --version and check-config need no data plane and no event loop.
    from sherd.server import run

    if config.get_bool("daemonize"):
        _go_to_background()
    return run(config)


def _check_config(config: Config) -> int:
    for warning in config.warnings:
        print(f"sherd: warning: {warning}", file=sys.stderr)
    print("sherd: the configuration is good")
    return 0


_ACTIONS: dict[str, Callable[[Config], int]] = {"serve": _serve, "check-config": _check_config}


def _go_to_background() -> None:
    """Leave the terminal; must happen before any thread exists."""
    if os.fork() > 0:
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _fail(message: str) -> int:
    print(f"sherd: {' '.join(message.split())}", file=sys.stderr)
    return 1


def help_text() -> str:
    """The whole of --help: usage, then every directive with its kind, default and one sentence."""
    return USAGE + "\n".join(_describe(parameter) for parameter in PARAMETERS if not parameter.hidden)


def _describe(parameter: ConfigParam) -> str:
    default = parameter.kind.format(parameter.default) or '""'
    notes = [f"default {default}"]
    if parameter.immutable:
        notes.append("only at start")
    if parameter.capability:
        notes.append(f"{parameter.capability} is not part of this version")
    elif parameter.inert:
        notes.append("accepted, without effect")
    if parameter.aliases:
        notes.append("also " + ", ".join(parameter.aliases))
    text = f"{parameter.description} ({parameter.kind.describe()}; {'; '.join(notes)})"
    body = textwrap.fill(text, width=110, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False)
    return f"  --{parameter.name}\n{body}"
