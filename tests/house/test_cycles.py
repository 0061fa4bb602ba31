"""No two files of a crate use each other, by whatever way round, but a module and its children.

Who reads a file has to know the files that it uses. In a circle that is all of them. A child may use its parent's types, and a
parent puts its children together; two siblings that use each other are one file, or want a third below them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

root = Path(__file__).parents[2]
crates = ("metrics", "shards/types", "shards", "scripts", "ioth", "native")

Module = tuple[str, ...]

_use = re.compile(r"^\s*(?:pub(?:\([a-z]+\))? )?use ([^;]+);", re.MULTILINE)
_path = re.compile(r"\b(?:crate|super|self)(?:::\w+)+")


def _modules(source: Path) -> dict[Module, Path]:
    found: dict[Module, Path] = {}
    for file in sorted(source.glob("**/*.rs")):
        parts = file.relative_to(source).with_suffix("").parts
        if parts[-1] in ("lib", "mod"):
            parts = parts[:-1]
        found[parts] = file
    return found


def _leaves(tree: str) -> list[list[str]]:
    """The paths of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`."""
    tree = re.sub(r"\s+", "", re.sub(r"\s+as\s+\w+", "", tree))
    begin = tree.find("{")
    if begin < 0:
        return [tree.split("::")]
    prefix = [part for part in tree[:begin].split("::") if part]
    paths: list[list[str]] = []
    depth, start = 0, begin + 1
    for at in range(begin, len(tree)):
        depth += {"{": 1, "}": -1}.get(tree[at], 0)
        if (depth == 1 and tree[at] == ",") or (depth == 0 and tree[at] == "}"):
            if at > start:
                paths += [prefix + leaf for leaf in _leaves(tree[start:at])]
            start = at + 1
    return paths


def _target(path: list[str], user: Module, modules: dict[Module, Path]) -> Module | None:
    """The file that a path leads to, seen from another one."""
    if path[0] == "crate":
        at: Module = ()
    elif path[0] == "self" or (user and (*user, path[0]) in modules):
        at = user
    elif path[0] == "super":
        at = user[:-1]
    else:
        return None
    for part in path[0 if path[0] not in ("crate", "self", "super") else 1 :]:
        if part == "super":
            at = at[:-1]
        elif (*at, part) in modules:
            at = (*at, part)
        else:
            break
    return at


def _uses(source: Path) -> dict[Module, set[Module]]:
    modules = _modules(source)
    graph: dict[Module, set[Module]] = {module: set() for module in modules}
    for user, file in modules.items():
        # A crate's root only lists its modules, and tests look at everything.
        if user == () or user == ("testing",) or any(part.endswith("tests") for part in user):
            continue
        text = re.sub(r"//.*", "", file.read_text()).split("#[cfg(test)]\nmod tests {")[0]
        paths = [leaf for tree in _use.findall(text) for leaf in _leaves(tree)]
        paths += [path.split("::") for path in _path.findall(_use.sub("", text))]
        for path in paths:
            used = _target(path, user, modules)
            is_child = used is not None and user[: len(used)] == used
            if used is not None and not is_child:
                graph[user].add(used)
    return graph


def _cycle(graph: dict[Module, set[Module]]) -> list[str]:
    """One circle, if there is any."""
    done: set[Module] = set()

    def search(module: Module, way: list[Module]) -> list[Module]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return []
        for used in sorted(graph[module]):
            if found := search(used, [*way, module]):
                return found
        done.add(module)
        return []

    for module in sorted(graph):
        if found := search(module, []):
            return ["::".join(part) for part in found]
    return []


@pytest.mark.parametrize("crate", crates)
def test_files_of_a_crate_use_each_other_in_one_direction(crate: str) -> None:
    graph = _uses(root / crate / "src")
    assert sum(map(len, graph.values())) > len(graph) // 2, "the uses were not found"
    assert not _cycle(graph)


def _folders(crate: str) -> dict[Module, set[Module]]:
    graph: dict[Module, set[Module]] = {}
    for user, used in _uses(root / crate / "src").items():
        graph.setdefault(user[:1], set()).update(module[:1] for module in used if module[:1] != user[:1])
    return graph


@pytest.mark.parametrize("crate", crates)
def test_folders_of_a_crate_use_each_other_in_one_direction(crate: str) -> None:
    assert not _cycle(_folders(crate))


@pytest.mark.parametrize("crate", ["shards", "ioth"])
def test_the_map_of_a_crate_names_its_folders_from_the_bottom_to_the_top(crate: str) -> None:
    named = re.findall(r"\[`(\w+)`\]:", (root / crate / "src" / "lib.rs").read_text())
    graph = {user[0]: used for user, used in _folders(crate).items() if user not in ((), ("testing",))}
    assert sorted(named) == sorted(graph)
    upwards = [
        (user, module) for user, used in graph.items() for (module,) in used if named.index(module) > named.index(user)
    ]
    assert not upwards


def test_a_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "lib.rs").write_text("pub mod a;\npub mod b;\n")
    (tmp_path / "a" / "mod.rs").write_text("use crate::b::{self, Thing as Other};\nuse child::Part;\n")
    (tmp_path / "a" / "child.rs").write_text("use super::Whole;\n")
    (tmp_path / "b.rs").write_text("use std::fmt;\n")
    assert _cycle(_uses(tmp_path)) == []
    (tmp_path / "b.rs").write_text("use crate::{\n    a::child::Part,\n};\n")
    assert _cycle(_uses(tmp_path)) == []
    (tmp_path / "a" / "child.rs").write_text("fn call() { crate::b::call() }\n")
    assert _cycle(_uses(tmp_path)) == ["a::child", "b", "a::child"]
