"""What nobody uses goes. Compiler and linter tell it of what is private; here it is asked of what is offered to others."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

root = Path(__file__).parents[2]
crates = ("metrics", "shards/types", "shards", "scripts", "ioth", "native")
# What tests in folders of their own need of the program: a clock that they move, an end that they wait for.
for_tests = {"advance_clock", "ask_api", "reads_memory", "set_wall_by", "stop_clock", "wait_until_idle"}

# What libraries call, and what tells tests of the table of metrics.
called_from_outside = {"collect", "emit", "metric_names"}


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


def _offered(module: ast.Module) -> set[str]:
    """Functions, classes, constants and fields; who decorates a function has a use for it."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_taken = any("command" in ast.unparse(decorator) for decorator in node.decorator_list)
            names |= set() if is_taken else {node.name}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("__")}


def test_what_a_python_module_has_is_used_by_the_program() -> None:
    """Where a name is written once in all modules, nobody asks for it."""
    modules = [ast.parse(file.read_text()) for file in sorted((root / "src" / "sherd").glob("**/*.py"))]
    words = Counter(word for module in modules for word in re.findall(r"\w+", ast.unparse(module)))
    unused = {name for module in modules for name in _offered(module) if words[name] == 1}
    assert sorted(unused) == sorted(called_from_outside)
