"""A data command is its family's file and its test: no other file of the program has to know it by name."""

from __future__ import annotations

import re
from pathlib import Path

root = Path(__file__).parents[2]

# Names that are also words of other tables: categories, types, fields, methods of HTTP, keyspace events.
_other_meanings = frozenset({"copy", "debug", "del", "function", "get", "keys", "memory", "object", "set", "type"})
# Who calls commands as a client would: MIGRATE speaks to another server, and asks for what it moves as one. Who records
# what has happened without a command, and writes data as commands.
_callers = {
    "native/src/transfer.rs": {"dump", "pexpiretime"},
    "shards/src/executor/salvage.rs": {"restore"},
    "shards/src/keyspace/edit.rs": {"hdel", "srem", "unlink"},
    "shards/src/keyspace/saving.rs": {"restore"},
    "shards/src/keyspace/saving/commands.rs": {
        "hpexpireat",
        "hset",
        "pexpireat",
        "rpush",
        "sadd",
        "spexpireat",
        "zadd",
    },
    "shards/src/keyspace/saving/stream_commands.rs": {"xadd", "xclaim", "xgroup", "xsetid"},
    "src/sherd/families/migrate.py": {"restore", "restore-asking"},
}


def _data_commands() -> set[str]:
    folder = root / "shards" / "src" / "families"
    return {name for file in folder.glob("*.rs") for name in re.findall(r'\bname: "([a-z_|-]+)"', file.read_text())}


def test_a_data_command_is_named_in_its_family_alone() -> None:
    names = _data_commands() - _other_meanings
    assert len(names) > 200
    files = [
        *(root / "src" / "sherd").glob("**/*.py"),
        *(
            file
            for crate in ("shards", "ioth", "native")
            for file in (root / crate / "src").glob("**/*.rs")
            if "families" not in file.parts and "tests" not in file.parts and not file.stem.endswith("tests")
        ),
    ]
    # Events have the names of the commands that raise them.
    files.remove(root / "shards" / "src" / "server" / "event_class.rs")
    named: dict[str, set[str]] = {}
    for file in files:
        program = file.read_text().partition("#[cfg(test)]\nmod ")[0]
        found = {word.lower() for word in re.findall(r'"([A-Za-z_|-]+)"', program)} & names
        if found:
            named[str(file.relative_to(root))] = found
    assert named == _callers


def test_numbers_among_the_arguments_of_control_commands_are_read_in_one_place() -> None:
    """A reader of its own takes more digits than 64 bits have, or forms that the data plane refuses."""
    folder = root / "src" / "sherd" / "families"
    own = re.compile(r"def _(integer|number|long)\b|\{0,18\}|int\(request\.args")
    found = [file.name for file in sorted(folder.glob("*.py")) if own.search(file.read_text())]
    assert found == ["numbers.py"]
