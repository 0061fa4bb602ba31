"""Secrets of the command line, kept from the list of processes, which everybody on the machine can read.

The kernel shows a process' arguments from that process' own memory, so what was given with `--requirepass` is
overwritten there as soon as it is known. Redis does as much by writing a title over all of its arguments; here the
others stay, since they tell one server from another. There is a moment in which secrets can be seen, and a shell may
remember them: better places are a file and the environment.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from sherd.config import BY_NAME

# Of rules of a user, which begin with a sign: passwords and their digests, given and taken away.
_PASSWORD_SIGNS = (">", "<", "#", "!")
# The place of `arg_start` in /proc/self/stat, counted behind the name of the program.
_ARGUMENTS_START = 45


def hide_secrets(arguments: Sequence[str]) -> None:
    """Overwrite what is secret of the arguments with which this process' command line ends, if the system lets it."""
    parts = list(secret_parts(arguments))
    if parts:
        # Where there is no /proc, nobody else has one either.
        with contextlib.suppress(OSError, ValueError, IndexError):
            _overwrite([os.fsencode(argument) for argument in arguments], parts)


def secret_parts(arguments: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Which arguments have secrets, and from which byte of theirs on."""
    name, value_expected = "", False
    for index, argument in enumerate(arguments):
        if argument.startswith("--") and len(argument) > 2 and not value_expected:
            # `--requirepass` alone, or with its value in one argument, behind `=` or a blank.
            ends = [end for mark in ("=", " ") if (end := argument.find(mark)) > 0]
            end = min(ends, default=len(argument))
            name, value_expected = argument[2:end].lower(), not ends
            if ends and (_is_secret(name) or name == "user"):
                yield index, len(os.fsencode(argument[: end + 1]))
            continue
        value_expected = False
        if _is_secret(name):
            yield index, 0
        elif name == "user" and argument.startswith(_PASSWORD_SIGNS):
            yield index, 1


def _is_secret(name: str) -> bool:
    return name in BY_NAME and BY_NAME[name].sensitive


def _overwrite(arguments: Sequence[bytes], parts: Sequence[tuple[int, int]]) -> None:
    shown = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
    first = len(shown) - len(arguments)
    if first < 0 or shown[first:] != list(arguments):
        return
    start = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[_ARGUMENTS_START])
    with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
        for index, since in parts:
            memory.seek(start + sum(len(argument) + 1 for argument in shown[: first + index]) + since)
            memory.write(b"*" * (len(arguments[index]) - since))
