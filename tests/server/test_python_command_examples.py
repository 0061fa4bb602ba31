"""Every example of docs/python-commands.md, loaded into a server and called as it is shown there."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.servers import Server, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sherd_only
root = Path(__file__).parents[2]
document = (root / "docs" / "python-commands.md").read_text()
readme = (root / "README.md").read_text()
wait_seconds = 20.0


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Languages and contents of the fenced blocks, in order."""
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield match[1], match[2]


def _examples() -> list[tuple[str, list[tuple[str, str]]]]:
    """Modules, each with the sessions that follow it: command lines and what they print."""
    examples: list[tuple[str, list[tuple[str, str]]]] = []
    for language, content in _blocks(document):
        if language == "python":
            examples.append((content, []))
        elif content.startswith("> "):
            parts = re.split(r"^> ", content, flags=re.MULTILINE)[1:]
            examples[-1][1].extend((line, output) for line, _, output in (part.partition("\n") for part in parts))
    return examples


def _shown(value: Any, indent: str = "") -> str:
    """A reply as redis-cli shows it."""
    if value is None:
        return "(nil)\n"
    if isinstance(value, int):
        return f"(integer) {value}\n"
    if isinstance(value, bytes):
        return f'"{value.decode()}"\n'
    if isinstance(value, list):
        return indent.join(f"{place}) {_shown(item, indent + '   ')}" for place, item in enumerate(value, start=1))
    raise AssertionError(f"{value!r} is no reply of RESP2")


def _names() -> list[str]:
    return [re.findall(r"^def (\w+)\(", module, re.MULTILINE)[-1] for module, _ in _examples()]


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize(("module", "session"), _examples(), ids=_names())
def test_an_example_of_the_documentation_does_what_it_shows(
    module: str, session: list[tuple[str, str]], shards: int, tmp_path: Path
) -> None:
    (tmp_path / "commands.py").write_text(module)
    directives = {"python-commands": str(tmp_path / "commands.py")}
    with Server(shape=Shape(shards=shards), directives=directives) as server, server.wire() as wire:
        for line, output in session:
            reply = wire.call(*shlex.split(line))
            shown = f"(error) {reply.raw[1:-2].decode()}\n" if reply.is_error else _shown(reply.value)
            assert shown == output, line
        if "sherd.on" in module:
            wire.call("SET", "session:1", "x", "PX", 1)
            deadline = time.monotonic() + wait_seconds
            while wire.value("LRANGE", "ended", 0, -1) != [b"session:1"]:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert b"fade" in repr(wire.value("SHERD", "COMMANDS")).encode()


def test_the_documentation_has_examples_of_everything() -> None:
    """What is called in sessions, so that none is lost to a change of its form."""
    called = {line.split()[0] for _, session in _examples() for line, _ in session}
    assert called >= {
        "RATE.LIMIT",
        "BOARD.ADD",
        "BOARD.TOP",
        "JOBS.ADD",
        "JOBS.TAKE",
        "JOBS.DONE",
        "INDEX.ADD",
        "INDEX.FIND",
    }


def test_the_rate_limiter_of_the_readme_works_as_pasted(tmp_path: Path) -> None:
    module = next(content for language, content in _blocks(readme) if "@sherd.command" in content)
    (tmp_path / "commands.py").write_text(module)
    with (
        Server(directives={"python-commands": str(tmp_path / "commands.py")}) as server,
        server.wire(protocol=3) as wire,
    ):
        assert [wire.value("RATE.LIMIT", "k", 1, 60) for _ in range(2)] == [True, False]
