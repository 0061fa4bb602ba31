"""Every fuzz target is built, has seeds and is run: cargo-fuzz knows only what `fuzz/Cargo.toml` names."""

from __future__ import annotations

import tomllib
from pathlib import Path

root = Path(__file__).parents[2]
fuzz = root / "fuzz"
TARGETS = {path.stem for path in (fuzz / "fuzz_targets").glob("*.rs")}
# Read in Python, and fuzzed by `tests.durability.fuzz_manifests`.
IN_PYTHON = {"manifest"}


def test_the_manifest_of_the_fuzz_crate_names_every_target() -> None:
    programs = tomllib.loads((fuzz / "Cargo.toml").read_text())["bin"]
    assert {program["name"]: program["path"] for program in programs} == {
        name: f"fuzz_targets/{name}.rs" for name in TARGETS
    }


def test_every_target_has_seeds_and_every_seed_a_target() -> None:
    folders = {path.name for path in (fuzz / "seeds").iterdir() if any(path.iterdir())}
    assert folders == TARGETS | IN_PYTHON


def test_make_fuzz_runs_what_python_fuzzes_too() -> None:
    recipe = (root / "Makefile").read_text().partition("\nfuzz:")[2].partition("\n\n")[0]
    assert "ls fuzz_targets" in recipe
    assert "tests.durability.fuzz_manifests" in recipe
    assert "tests.compat.fuzz_rules" in recipe


def test_targets_that_run_lua_look_for_no_leaks() -> None:
    """The sanitizer finds no pointers in Lua's blocks: it takes what they point to for leaked, and the target ends with its seeds."""
    recipe = (root / "Makefile").read_text().partition("\nfuzz:")[2].partition("\n\n")[0]
    assert 'case "$$target" in lua_*) leaks=0;; *) leaks=1;; esac' in recipe
    # Not libFuzzer's flag of that name, which says nothing about what is looked for at the end.
    assert "ASAN_OPTIONS=detect_leaks=$$leaks" in recipe
    run_lua = {path.stem for path in (fuzz / "fuzz_targets").glob("*.rs") if "sherd_fuzz::lua" in path.read_text()}
    assert run_lua == {name for name in TARGETS if name.startswith("lua_")}
