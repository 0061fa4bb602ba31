"""What nobody uses goes. The compiler tells it of what is private; here it is asked of what a crate offers to others."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

root = Path(__file__).parents[2]
crates = ("metrics", "shards/types", "shards", "scripts", "ioth", "native")
# What tests in folders of their own need of the program: a clock that they move, an end that they wait for.
for_tests = {"advance_clock", "ask_api", "reads_memory", "set_wall_by", "stop_clock", "wait_until_idle"}


def _program(text: str) -> str:
    """Rust without comments, and without what is compiled for tests only."""
    text = text.split("#[cfg(test)]\nmod tests {")[0]
    text = re.sub(r"#\[cfg\(test\)\]\n( *)(?:pub fn|impl)\b.*?\n\1\}\n", "", text, flags=re.DOTALL)
    return re.sub(r"//.*", "", text)


def test_what_a_crate_offers_is_used_by_the_program() -> None:
    """A function or type whose name is written once in all crates is one that only its definition knows."""
    is_test = re.compile(r"/tests/|/examples/|tests\.rs$|/testing\.rs$")
    files = [file for crate in crates for file in sorted((root / crate / "src").glob("**/*.rs"))]
    texts = {file: _program(file.read_text()) for file in files if not is_test.search(f"/{file.relative_to(root)}")}
    words: Counter[str] = Counter()
    for text in texts.values():
        words.update(re.findall(r"\w+", text))
    definition = re.compile(r"^ *pub (?:const |unsafe )*(?:fn|struct|enum|type) (\w+)", re.MULTILINE)
    unused = {name for text in texts.values() for name in definition.findall(text) if words[name] == 1}
    assert sorted(unused - for_tests) == []
    assert sorted(for_tests - unused) == [], "used by the program after all"
