"""Who may depend on whom, how long a file may be, and that every `unsafe` says why it is sound."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

root = Path(__file__).parents[2]
crates = ("metrics", "shards/types", "shards", "scripts", "ioth", "native")
# One idea a file, one step a function; below 400 and 30 is the aim.
file_lines_max = 600
function_lines_max = 60


def _rust_files(*names: str) -> list[Path]:
    files = [file for name in names for file in sorted((root / name).glob("**/*.rs"))]
    # The checkout itself may lie in a folder of that name.
    return [file for file in files if "target" not in file.relative_to(root).parts]


def _python_files() -> list[Path]:
    return sorted((root / "src" / "sherd").glob("**/*.py"))


def _dependencies(crate: str) -> set[str]:
    manifest = tomllib.loads((root / crate / "Cargo.toml").read_text())
    tables = [manifest.get("dependencies", {})]
    tables += [target.get("dependencies", {}) for target in manifest.get("target", {}).values()]
    return {name for table in tables for name in table}


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _module(file: Path) -> str:
    parts = file.relative_to(root / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_panics_are_contained_in_one_place() -> None:
    """What a panic costs is decided by who says that he answers for it: `sherd_types::invariant::contain`."""
    catching = [
        str(file.relative_to(root))
        for file in _rust_files(*crates)
        if "tests" not in file.parts and "catch_unwind" in file.read_text().partition("#[cfg(test)]\nmod ")[0]
    ]
    assert set(catching) == {"shards/types/src/invariant.rs"}


@pytest.mark.parametrize("crate", ["metrics", "shards/types", "shards", "scripts", "ioth"])
def test_no_crate_of_the_data_plane_depends_on_pyo3(crate: str) -> None:
    """A crate without pyo3 cannot take the interpreter lock."""
    assert not {name for name in _dependencies(crate) if name.startswith("pyo3")}


@pytest.mark.parametrize(
    ("crate", "forbidden"),
    [
        ("metrics", {"sherd-types", "sherd-shards", "sherd-scripts", "sherd-ioth", "sherd-native"}),
        ("shards/types", {"sherd-shards", "sherd-scripts", "sherd-ioth", "sherd-native"}),
        ("shards", {"sherd-scripts", "sherd-ioth", "sherd-native"}),
        ("scripts", {"sherd-ioth", "sherd-native"}),
        ("ioth", {"sherd-native"}),
    ],
)
def test_a_lower_crate_does_not_depend_on_an_upper_one(crate: str, forbidden: set[str]) -> None:
    """native -> ioth -> scripts -> shards -> shards/types -> metrics, never the reverse."""
    assert not _dependencies(crate) & forbidden


def test_only_sherd_native_imports_the_data_plane() -> None:
    """One module knows that the engine is compiled."""
    importers = {
        _module(file)
        for file in _python_files()
        if any(name == "sherd._native" or name.startswith("sherd._native.") for name in _imports(file))
    }
    assert all(name == "sherd.native" or name.startswith("sherd.native.") for name in importers), importers


def test_only_sherd_scripting_imports_lua() -> None:
    """Lua stays in its own package."""
    importers = {
        _module(file) for file in _python_files() if any(name.split(".")[0] == "lupa" for name in _imports(file))
    }
    assert all(name == "sherd.scripting" or name.startswith("sherd.scripting.") for name in importers), importers


# Where dates are told. Everything else that asks for the time measures how long something lasts, which a wall clock that is
# set cannot tell.
_told_by_the_wall_clock = {
    "metrics/src/clock.rs",
    "shards/src/server/clocks.rs",
    "shards/src/server/command_log.rs",
    "shards/src/server/world.rs",
    "ioth/src/observe/log.rs",
    "ioth/src/observe/monitor.rs",
    "native/src/persistence.rs",
    "src/sherd/families/hotkeys.py",
    "src/sherd/families/latency.py",
    "src/sherd/families/migrate.py",
    "src/sherd/families/server.py",
    "src/sherd/observability/logs.py",
    "src/sherd/observability/node.py",
    "src/sherd/observability/snapshot.py",
    "src/sherd/persistence/append.py",
    "src/sherd/persistence/saver.py",
    "src/sherd/replication/follower.py",
}


def test_the_wall_clock_is_read_only_where_dates_are_told() -> None:
    clock = re.compile(r"\bunix_(milli|micro)seconds\(|\bSystemTime\b|\btime\.time(_ns)?\b|\bdatetime\.now\b")
    readers = [file for file in _rust_files(*crates) + _python_files() if clock.search(file.read_text())]
    assert {str(file.relative_to(root)) for file in readers} == _told_by_the_wall_clock
    # The expiry of keys is a date, and these have nothing to do with keys.
    timers = _rust_files("ioth/src/thread", "ioth/src/event_loop", "ioth/src/commands")
    timers += [root / "ioth/src/request/dispatch.rs", root / "ioth/src/observe/clients.rs"]
    assert not [file for file in timers if "now_milliseconds()" in file.read_text()]


def _program_files() -> list[Path]:
    """Rust and Python, tests left out, which are tables for the most part."""
    is_test = re.compile(r"/tests/|tests\.rs$|/test_")
    files = [*_rust_files(*crates), *_python_files(), *sorted((root / "bench").glob("**/*.py"))]
    return [file for file in files if not is_test.search(f"/{file.relative_to(root)}")]


def _rust_functions(text: str) -> dict[str, int]:
    """The lengths of functions, whose last line has the brace that rustfmt puts under their first."""
    function = re.compile(r"^( *)(?:pub(?:\([^)]*\))? )?(?:const )?(?:unsafe )?(?:extern \"[^\"]*\" )?fn (\w+)")
    lines = text.split("#[cfg(test)]\nmod tests {")[0].splitlines()
    found: dict[str, int] = {}
    for first, line in enumerate(lines):
        if (match := function.match(line)) and not line.endswith((";", "}")):
            # Without a body, as a trait may have it, the last line closes the arguments.
            last = re.compile(rf"{match[1]}(\}}|\).*;)$")
            end = next((number for number in range(first, len(lines)) if last.match(lines[number])), first)
            found[match[2]] = max(found.get(match[2], 0), end - first + 1)
    return found


def _python_functions(text: str) -> dict[str, int]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}


def test_files_and_functions_are_short() -> None:
    """At most 600 lines and 60."""
    too_long: dict[str, int] = {}
    count = 0
    for file in _program_files():
        text, name = file.read_text(), str(file.relative_to(root))
        functions = _rust_functions(text) if file.suffix == ".rs" else _python_functions(text)
        count += len(functions)
        if text.count("\n") > file_lines_max:
            too_long[name] = text.count("\n")
        too_long |= {f"{name}: {each}": lines for each, lines in functions.items() if lines > function_lines_max}
    assert count > 5000, "functions were not found"
    assert not too_long


def test_a_long_function_is_found() -> None:
    text = "impl A {\n    fn a(\n        &self,\n    ) -> i32;\n\n    pub(super) fn b(\n        x: i32,\n    ) {\n        x;\n    }\n}\n"
    assert _rust_functions(text) == {"a": 3, "b": 5}
    assert _python_functions("async def a():\n    pass\n") == {"a": 2}


def test_one_place_sends_to_clients_and_receives_from_them() -> None:
    """What a short read or write means is the transport's to know, and bytes of two writers would be mixed."""
    call = re.compile(r"\bnet::(?:send|recv|sendmsg|recvmsg|sendto|recvfrom)\b|\b(?:SendFlags|RecvFlags)\b")
    users = {str(file.relative_to(root)) for file in _rust_files("ioth/src", "native") if call.search(file.read_text())}
    assert users == {"ioth/src/net/transport.rs", "ioth/src/net/tls.rs", "ioth/src/net/link_socket.rs"}


def test_every_source_file_begins_with_what_it_is() -> None:
    """//! in Rust, a docstring in Python."""
    silent = [
        str(file.relative_to(root)) for file in _rust_files(*crates) if not file.read_text().lstrip().startswith("//!")
    ]
    silent += [
        str(file.relative_to(root))
        for file in _python_files()
        if ast.get_docstring(ast.parse(file.read_text())) is None
    ]
    assert not silent, silent


def test_every_package_begins_with_a_map_of_what_is_in_it() -> None:
    """All of its modules, and nothing that has gone; small packages need none."""
    wrong: dict[str, set[str]] = {}
    for folder in sorted({file.parent for file in _python_files()}):
        modules = {file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")}
        modules |= {file.parent.name for file in folder.glob("*/__init__.py")}
        layout = (ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "").partition("# Layout\n")[2]
        named, entries = (
            set(re.findall(r"`([a-z_]+)/?`", text))
            for text in (layout, " ".join(re.findall(r"^- (.*?):", layout, re.MULTILINE)))
        )
        if len(modules) > 2 and (different := (modules - named) | (entries - modules)):
            wrong[str(folder.relative_to(root))] = different
    assert wrong == {}


def test_every_unsafe_block_has_a_safety_line_above_it() -> None:
    """Within the few lines above, since a statement may begin before its unsafe block."""
    bare: list[str] = []
    for file in _rust_files(*crates):
        lines = file.read_text().splitlines()
        for number, line in enumerate(lines):
            code = line.partition("//")[0]
            if not re.search(r"\bunsafe\s*(\{|impl\b)", code):
                continue
            above = lines[max(0, number - 8) : number + 1]
            if not any("SAFETY" in text for text in above):
                bare.append(f"{file.relative_to(root)}:{number + 1}")
    assert not bare, bare


def test_nothing_is_left_unfinished() -> None:
    """No TODO, no todo!, no unimplemented!, no bare NotImplementedError."""
    pattern = re.compile(r"\bTODO\b|\bFIXME\b|\btodo!\(|\bunimplemented!\(|raise NotImplementedError")
    found = [
        f"{file.relative_to(root)}: {match.group(0)}"
        for file in [*_rust_files(*crates), *_python_files()]
        for match in pattern.finditer(file.read_text())
    ]
    assert not found, found


def test_comments_point_to_the_module_for_more() -> None:
    """As rustdoc links it, in one form: what stands at the top of a file is the documentation of a module."""
    assert not [file for file in _rust_files(*crates) if re.search(r"[Ff]ile's head|[Ss]ee the file", file.read_text())]


def test_the_extension_module_does_not_need_the_gil() -> None:
    """It says so to a free-threaded interpreter."""
    text = "".join(file.read_text() for file in _rust_files("native"))
    assert re.search(r"gil_used\s*=\s*false", text)


def test_the_package_is_typed() -> None:
    """A marker for type checkers, and a stub for the compiled module."""
    assert (root / "src" / "sherd" / "py.typed").exists()
    assert (root / "src" / "sherd" / "_native.pyi").exists()


def test_a_database_is_altered_through_one_door() -> None:
    """What takes `&mut self` of a database, and what lends one to be changed, is visible in the keyspace's module alone."""
    folder = root / "shards" / "src" / "keyspace"
    signature = re.compile(r"^\s*pub(\([^)]*\))? fn (\w+)[^{;]*?&mut self", re.MULTILINE)
    for file in ("db.rs", "mod.rs"):
        found = {name: visibility for visibility, name in signature.findall((folder / file).read_text())}
        assert {name for name, visibility in found.items() if visibility != "(super)"} == set(), file
    lent = re.compile(r"pub(?:\([^)]*\))? fn \w+[^{;]*-> [^{;]*&mut (?:Box<)?Db\b")
    offenders = [str(file.relative_to(root)) for file in _rust_files("shards/src") if lent.search(file.read_text())]
    assert offenders == []
