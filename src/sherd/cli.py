"""The `sherd` command: serve, check-config, check-rdb, check-aof, --version, --help.

Directives belong to the configuration, not to an argument parser: everything after the subcommand goes to
`sherd.config` as it is, so that `--save "" --port 0` means what it means to redis-server. argparse was left aside for
that reason; it would need an option a parameter and still get `--save` wrong. Where the subcommand is left out,
`sherd redis.conf --port 7000` serves, as redis-server does.

Exit codes: 0 all is well, 1 with one line on the standard error where something is wrong. What only some subcommands
need is imported by them: `--version` is asked by scripts and answered at once.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import NoReturn

    from sherd.config import Config

USAGE = """\
sherd: a Redis-compatible, multi-threaded, sharded in-memory data store

  sherd serve [redis.conf | -] [--directive value ...]    serve until SIGINT or SIGTERM
  sherd check-config [redis.conf | -] [--directive ...]   tell all that is wrong, start nothing
  sherd serve --help [directive]                          all directives, or one of them
  sherd check-rdb FILE | check-aof [--fix] FILE           look through such a file, change nothing
  sherd cert FOLDER [HOST ...]                            make certificates for tests of TLS
  sherd --version

Configuration, the later one wins:
  redis.conf                 a file in Redis' format, or - for the standard input
  SHERD_<DIRECTIVE>=value    environment, with dashes as underscores: SHERD_MAXMEMORY=1gb
  SHERD_<DIRECTIVE>_FILE     environment, for secrets: the file that holds the value
  REDIS_PASSWORD[_FILE]      environment, the same as SHERD_REQUIREPASS[_FILE]
  --directive value          command line: --port 6380 --save "" --log-format json

Examples:
  sherd serve
  sherd /etc/redis/redis.conf --maxmemory 2gb --maxmemory-policy allkeys-lru
  sherd serve --bind 127.0.0.1 --port 7000 --shards 4 --io-threads 4"""

# What else has a help of its own: that of `serve` is made of the table of directives.
_HELP = {
    "check-config": """\
sherd check-config [redis.conf | -] [--directive value ...]

Tells all that is wrong with a configuration, or worth a warning, with file and line, and starts nothing. Certificates
and users are read, and modules of commands in Python are loaded, as a start would do. Exit code 1 if there are errors.
`sherd serve --help` names the directives.""",
    "check-rdb": """\
sherd check-rdb FILE

Looks through a snapshot as loading would, and tells what is in it or what is wrong and where. Exit code 1 if it is.""",
    "check-aof": """\
sherd check-aof [--fix | --truncate-to-timestamp SECONDS] FILE.manifest | FILE.aof

Looks through one append-only file, or all that a manifest names. Exit code 1 if something is wrong.
  --fix                            cut off an end that is no whole command, after asking
  --truncate-to-timestamp SECONDS  go back to a time (seconds since 1970), where aof-timestamp-enabled has marked it""",
    "cert": """\
sherd cert FOLDER [HOST ...]

Makes an authority of one's own, and certificates of a server and a client that it has signed: ca, server and client,
each a .crt and a .key. Without a HOST the server's is for localhost, 127.0.0.1 and ::1. Files that are there stay.""",
}
_HELP_WORDS = ("-h", "--help", "help")
# What a shell reports of a program that was ended by SIGINT.
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough of it (`sherd --help | head`); nor shall the exit complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(words: list[str]) -> int:
    if not words or words[0] in _HELP_WORDS:
        print(USAGE)
        return 0 if words else 1
    if words[0] in ("-v", "--version", "version"):
        from sherd import __version__

        print(f"sherd {__version__}")
        return 0
    if words[0] not in _ACTIONS and _means_serve(words[0]):
        words = ["serve", *words]
    action = _ACTIONS.get(words[0])
    if action is None:
        from sherd.config import did_you_mean

        return _fail(f"unknown command '{words[0]}'{did_you_mean(words[0], _ACTIONS)} (try sherd --help)")
    asked = next((place for place, word in enumerate(words) if word in _HELP_WORDS[:2]), None)
    if asked is not None:
        # Before it there may be a file, and values of directives.
        named = [word for word in words[1:asked] if word.startswith("--")]
        return _help_of(words[0], named + [word for word in words[asked:] if word not in _HELP_WORDS])
    return action(words[1:])


def _means_serve(word: str) -> bool:
    """Whether a command line that begins so leaves `serve` out: with a directive, or with a file."""
    return word.startswith("--") or word == "-" or word.endswith(".conf") or os.sep in word or os.path.isfile(word)  # noqa: PTH113 - pathlib takes longer to import than all the rest


def _split(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The configuration file, if there is one, and the directives."""
    if words and not words[0].startswith("--"):
        return words[0], words[1:]
    return None, words


def _serve(words: Sequence[str]) -> int:
    # What a start makes is kept: looking for garbage among it takes a twentieth of the time.
    gc.disable()
    try:
        return _load_and_start(words)
    finally:
        gc.enable()


def _load_and_start(words: Sequence[str]) -> int:
    from sherd.config import load_config
    from sherd.errors import SherdError

    config_file, directives = _split(words)
    try:
        config = load_config(config_file, directives)
    except SherdError as error:
        _leave_in_log(config_file, directives, str(error))
        return _fail(str(error))
    try:
        return _start(config, directives)
    except SherdError as error:
        _tell(str(error))
        _end_at_once(1)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _end_at_once(code: int) -> NoReturn:
    """End after a start that failed half way.

    An interpreter that is finalized breaks off the threads that were begun wherever they are, in the data plane's code
    too, and frees what was loaded piece by piece.
    """
    from sherd.server.process import end_process

    end_process(code)


def _start(config: Config, directives: Sequence[str]) -> int:
    from sherd.later import put_off

    # The process is the server's own: what the control plane may never use is loaded when it does, and the allocator
    # has no huge pages from the beginning.
    put_off("asyncio", "ssl", "asyncio.sslproto", "inspect")
    if config.get_bool("disable-thp"):
        os.environ.setdefault("MIMALLOC_ALLOW_THP", "0")
    from sherd.server import run
    from sherd.server.arguments import hide_secrets

    hide_secrets(directives)
    if config.get_bool("daemonize"):
        from sherd.observability.logs import check_log_file

        # The last moment at which anybody sees that there will be no log.
        check_log_file(config)
        _go_to_background()
    return run(config)


def _leave_in_log(config_file: str | None, directives: Sequence[str], reason: str) -> None:
    """Write why the server does not start to the log that it would have had, as far as that can be told."""
    from sherd.config import load_config
    from sherd.errors import SherdError
    from sherd.log import get_logger
    from sherd.observability.logs import setup_logs_from

    config = load_config(config_file, directives, on_error=lambda _error: None)
    if config.get_str("logfile") or config.get_bool("syslog-enabled"):
        try:
            setup_logs_from(config)
        except SherdError:
            return
        get_logger().error("the server cannot start", reason=reason)


def _check_config(words: Sequence[str]) -> int:
    from sherd.config import check_config

    findings = check_config(*_split(words), more=_check_parts)
    for finding in findings:
        _tell(finding.text if finding.is_error else f"warning: {finding.text}")
    if any(finding.is_error for finding in findings):
        return 1
    print("sherd: the configuration is good")
    return 0


def _check_parts(config: Config) -> Iterator[str]:
    """What only the parts of a server can tell of a configuration."""
    from sherd.server.check import findings

    return findings(config)


def _check_rdb(words: Sequence[str]) -> int:
    from sherd.persistence.check import check_rdb

    if len(words) != 1:
        return _fail("check-rdb takes one file")
    return check_rdb(words[0])


def _check_aof(words: Sequence[str]) -> int:
    from sherd.persistence.check_append import check_aof

    usage = "usage: " + _HELP["check-aof"].partition("\n")[0]
    rest, fix, until = list(words), False, None
    while len(rest) > 1 and rest[0].startswith("--"):
        option = rest.pop(0)
        if option == "--fix" and until is None:
            fix = True
        elif option == "--truncate-to-timestamp" and not fix and rest[0].isdecimal():
            until = int(rest.pop(0))
        else:
            return _fail(usage)
    if len(rest) != 1 or rest[0].startswith("--"):
        return _fail(usage)
    return check_aof(rest[0], fix=fix, until=until, ask=_ask)


def _ask(question: str) -> bool:
    """As redis-check-aof does: whatever is no yes is a no."""
    try:
        return input(question).strip().lower().startswith("y")
    except EOFError:
        return False


def _cert(words: Sequence[str]) -> int:
    from pathlib import Path

    from sherd.certificates import HOSTS, make_certificates
    from sherd.errors import SherdError

    if not words or words[0].startswith("-"):
        return _fail("cert takes a folder, and the hosts that the server's certificate is for")
    try:
        made = make_certificates(Path(words[0]), words[1:] or HOSTS)
    except SherdError as error:
        return _fail(str(error))
    print("\n".join(map(str, made)))
    return 0


_ACTIONS: dict[str, Callable[[Sequence[str]], int]] = {
    "serve": _serve,
    "check-config": _check_config,
    "check-rdb": _check_rdb,
    "check-aof": _check_aof,
    "cert": _cert,
}


def _go_to_background() -> None:
    """Leave the terminal; must happen before any thread exists."""
    if os.fork() > 0:
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _tell(message: str) -> None:
    print(f"sherd: {' '.join(message.split())}", file=sys.stderr)


def _fail(message: str) -> int:
    _tell(message)
    return 1


def _help_of(command: str, words: Sequence[str]) -> int:
    """What a subcommand takes; with `serve`, which takes directives, all of them or those that are named."""
    if command == "serve" or words:
        return _help_of_directives(words)
    print(_HELP[command])
    return 0


def _help_of_directives(words: Sequence[str]) -> int:
    from sherd import directive_help
    from sherd.config import BY_NAME, did_you_mean

    names = [word.removeprefix("--").lower() for word in words]
    unknown = next((name for name in names if name not in BY_NAME), None)
    if unknown is not None:
        return _fail(f"there is no directive '{unknown}'{did_you_mean(unknown, BY_NAME)}")
    print("\n".join(map(directive_help.describe, names)) if names else directive_help.overview())
    return 0
