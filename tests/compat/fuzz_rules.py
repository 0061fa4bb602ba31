"""A fuzzer for rules of users, which Python reads: `make fuzz` runs it beside the targets in Rust.

    python -m tests.compat.fuzz_rules --seconds 30 [--seed 7]

It gives one user random rules, here and on the real servers that this machine has, and compares after each ACL SETUSER whether it was
taken and how it was refused, what ACL GETUSER tells, and what ACL DRYRUN says of some hundred command lines.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.compat.differences import is_accident
from tests.compat.test_access import EXCUSED
from tests.compat.test_key_flags import command_lines
from tests.support.references import find_reference
from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from tests.support.wire import Wire

references = ("redis8", "valkey9")
lines_asked = 120
user = "fuzzed"
databases = 16

_PATTERNS = ("*", "a*", "?", "[ab]*", "k1", "k2", "ab*c", "b\\*", "**", "[^k]*", "%", "~", "k 1", "")
_KEY_RULES = ("~", "~", "%R~", "%W~", "%RW~", "%WR~", "%r~", "%X~", "%~")
_NAMED = (
    "config|get", "config|set", "client|id", "object|encoding", "memory|usage", "select|0", "select|1", "config|x", "get|a", "xinfo|stream",
    "acl|whoami", "client|kill|x", "sort|a", "get", "set", "sort", "eval", "publish", "subscribe", "select", "config", "nosuch",
)  # fmt: skip
_WORDS = (
    "allkeys", "resetkeys", "allchannels", "resetchannels", "allcommands", "nocommands", "ON", "off", "nopass", "resetpass", ">pw", "<pw",
    ">x", "reset", "clearselectors", "ALLKEYS", "NoPass", "#" + "a" * 64, "!" + "a" * 64, "#zz", "+", "-", "@read", "bogus", "+@bogus",
    "(", ")", "",
)  # fmt: skip
_DATABASES = ("db=0", "db=1", "db=0,1", "alldbs", "resetdbs", "db=", "db=0,", "db=a", "db=-1", "DB=1", "db=0,1,0")


class Rules:
    """Random rules, of commands and categories that both servers have."""

    def __init__(self, random_: random.Random, ours: Wire, theirs: Wire, *, has_databases: bool) -> None:
        self.random, self.has_databases = random_, has_databases
        self.categories = sorted({*ours.value("ACL", "CAT")} & {*theirs.value("ACL", "CAT")})
        self.commands = sorted(_commands(ours, self.categories) & _commands(theirs, self.categories))

    def one(self, *, within: bool = False) -> str:
        """A rule; not one in parentheses within such a one."""
        choose, sign = self.random.choice, self.random.choice("+-")
        match self.random.randrange(20):
            case 0 | 1 | 2 | 3:
                return sign + choose(self.commands).decode()
            case 4 | 5 | 6:
                return f"{sign}@{choose([*self.categories, b'all']).decode()}"
            case 7 | 8:
                return sign + choose(_NAMED)
            case 9 | 10 | 11 | 12:
                return choose(_KEY_RULES) + choose(_PATTERNS)
            case 13 | 14:
                return "&" + choose(_PATTERNS)
            case 15 if self.has_databases:
                return choose(_DATABASES)
            case 16 | 17 if not within:
                return "(" + " ".join(self.one(within=True) for _ in range(self.random.randrange(4))) + ")"
            case _:
                return choose(_WORDS)

    def some(self) -> list[str]:
        """Rules as they are given together; at times with parentheses over several words."""
        rules = [self.one() for _ in range(self.random.randrange(1, 5))]
        return " ".join(rules).split(" ") if self.random.random() < 0.1 else rules


def _commands(wire: Wire, categories: list[bytes]) -> set[bytes]:
    return {name for category in categories for name in wire.value("ACL", "CAT", category)}


def _told(wire: Wire) -> dict[bytes, Any]:
    """What ACL GETUSER tells, but for what Valkey tells of databases and does not tell of payloads."""
    words = wire.value("ACL", "GETUSER", user)
    told = dict(zip(words[::2], words[1::2], strict=True))
    told.pop(b"databases", None)
    told[b"flags"] = [flag for flag in told[b"flags"] if not flag.endswith(b"sanitize-payload")]
    for selector in told[b"selectors"]:
        if b"databases" in selector:
            at = selector.index(b"databases")
            del selector[at : at + 2]
    return told


def run(ours: Server, theirs: Server, name: str, seed: int, *, users: int = 0, seconds: float = 0.0) -> int:
    """So many users, or for so long; how many questions were asked. Raises AssertionError with the rules of a finding."""
    random_, asked, done, until = random.Random(seed), 0, 0, time.monotonic() + seconds
    with ours.wire(timeout_seconds=60) as mine, theirs.wire(timeout_seconds=60) as other:
        wires = (mine, other)
        rules = Rules(random_, mine, other, has_databases=name == "valkey9")
        known = {command.partition(b"|")[0].upper() for command in rules.commands}
        lines = [
            line
            for line in command_lines()
            if line[0].upper() in known
            and not is_accident(name, line)
            and not EXCUSED.match(b" ".join(line))
            and not _names_no_database(line)
        ]
        while done < users or time.monotonic() < until:
            done += 1
            given: list[list[str]] = [["on"]]
            for wire in wires:
                wire.call("ACL", "DELUSER", user)
                wire.call("ACL", "SETUSER", user, "on")
            for _ in range(random_.randrange(1, 5)):
                given.append(rules.some())
                replies = [wire.call("ACL", "SETUSER", user, *given[-1]).raw for wire in wires]
                assert replies[0] == replies[1], (given, replies)
                told = [_told(wire) for wire in wires]
                assert told[0] == told[1], (given, told)
                questions: list[tuple[bytes | str, ...]] = [
                    (b"ACL", b"DRYRUN", user, *line) for line in random_.sample(lines, lines_asked)
                ]
                for question, *answers in zip(questions, *(wire.pipeline(questions) for wire in wires), strict=True):
                    asked += 1
                    assert answers[0].raw == answers[1].raw or _is_other_text(answers), (given, question, answers)
    return asked


def _is_other_text(answers: list[Any]) -> bool:
    """A command line that is none is refused in different words, and before or after its user is looked for."""
    return any(answer.raw.startswith(b"-ERR") for answer in answers)


def _names_no_database(line: tuple[bytes, ...]) -> bool:
    """Of a database that cannot be there Valkey says that the command is not allowed, or names another word of the line."""
    match line[0].upper():
        case b"SWAPDB" | b"SELECT":
            words = line[1:]
        case b"MOVE":
            words = line[2:]
        case b"COPY":
            words = tuple(word for before, word in itertools.pairwise(line) if before.upper() == b"DB")
        case _:
            return False
    return not all(word.isdigit() and int(word) < databases for word in words)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    programs = [(name, program) for name in references if (program := find_reference(name)) is not None]
    if not programs:
        print("rules: no real server to compare with on this machine")
    for name, program in programs:
        with Server(shape=Shape()) as ours, Server(program) as theirs:
            try:
                asked = run(ours, theirs, name, options.seed, seconds=options.seconds / len(programs))
            except AssertionError as finding:
                print(f"rules: differ from {name}, seed {options.seed}: {finding}")
                return 1
        print(f"rules: {asked} questions to {name}, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
