"""`sherd check-aof`: whether an append-only file or a whole directory of them can be loaded, and mending it.

The lines are those of redis-check-aof where it has any, and so are the exit codes: 0 if all is well or was mended, 1 if
not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from sherd import native
from sherd.durable import cut_file
from sherd.persistence import manifest
from sherd.persistence.claim import Claim, DirectoryTakenError
from sherd.persistence.manifest import ManifestError
from sherd.persistence.progress import shown_progress

_HEAD_BYTES = 4096


class CheckError(Exception):
    """Something is wrong, and was told."""


def check_aof(path: str, *, fix: bool, until: int | None, ask: Callable[[str], bool]) -> int:
    """Check one file or all that a manifest names; `ask` is asked before anything is cut off."""
    given = Path(path)
    claim = None
    try:
        if fix or until is not None:
            # Of a file that a server writes to there is always an end that is not whole yet.
            claim = Claim(given.absolute().parent)
        if given.suffix == ".manifest" or _is_manifest(given):
            _check_directory(given, fix=fix, until=until, ask=ask)
        else:
            print("Start checking Old-Style AOF")
            _check_file(given, fix=fix, until=until, is_end=True, ask=ask)
            print(f"AOF {given} is valid")
    except OSError as error:
        print(f"sherd: cannot check {path}: {error.strerror or error}", file=sys.stderr)
        return 1
    except DirectoryTakenError as error:
        print(f"sherd: {error}", file=sys.stderr)
        return 1
    except CheckError:
        return 1
    finally:
        if claim is not None:
            claim.release()
    return 0


def _is_manifest(path: Path) -> bool:
    """Whether a file looks like a manifest, whatever it is called."""
    with path.open("rb") as file:
        lines = file.read(_HEAD_BYTES).splitlines()
    first = next((line for line in lines if not line.startswith(b"#")), b"")
    return first.startswith(b"file ") and b" seq " in first


def _check_directory(path: Path, *, fix: bool, until: int | None, ask: Callable[[str], bool]) -> None:
    print("Start checking Multi Part AOF")
    try:
        found = manifest.read(path)
    except ManifestError as error:
        print(f"The manifest {path} is not valid: {error}")
        raise CheckError from error
    if found is None:
        raise FileNotFoundError(2, os.strerror(2), str(path))
    if not found.files:
        print(f"The manifest {path} names no files")
        raise CheckError
    for file in found.files:
        kind = "BASE AOF" if file == found.base else "INCR AOF"
        target = path.parent / file.name
        form = _form_of(target)
        print(f"Start to check {kind} ({form} format).")
        _check_file(target, fix=fix, until=until, is_end=found.is_end(file, path.parent), ask=ask)
        print(f"{kind} {file.name} is valid")
    print("All AOF files and manifest are valid")


def _form_of(path: Path) -> str:
    with path.open("rb") as file:
        return "RDB" if file.read(9).startswith((b"REDIS", b"VALKEY")) else "RESP"


def _check_file(path: Path, *, fix: bool, until: int | None, is_end: bool, ask: Callable[[str], bool]) -> None:
    with shown_progress(path) as progress:
        report = native.check_append(path, progress, until)
    size, valid = report["size"], report["valid"]
    if until is not None and report["late"] is not None:
        if not is_end:
            print(f"Failed to truncate AOF {path} to timestamp {until}: it is not the last file.")
            raise CheckError
        if report["late"] == 0:
            # A time from before the file began, or a mistake: whatever it is, all that is in the file would go.
            print(f"AOF {path} has nothing before timestamp {until}, aborting.")
            raise CheckError
        cut_file(path, report["late"])
        print(f"Successfully truncated AOF {path} to timestamp {until}")
        return
    if report["fault"] is None:
        print(f"AOF analyzed: filename={path}, size={size}, ok_up_to={valid}, diff={size - valid}")
        return
    offset, _, what = report["fault"]
    print(f"0x{offset:16x}: {what}")
    print(f"AOF analyzed: filename={path}, size={size}, ok_up_to={valid}, diff={size - valid}")
    if not fix:
        print(f"AOF {path} is not valid. Use the --fix option to try fixing it.")
        raise CheckError
    if report["snapshot"] and valid == 0:
        print(f"AOF {path} is not valid at its beginning, which is a snapshot: cutting it off would leave nothing.")
        raise CheckError
    if not is_end:
        print(f"Failed to truncate AOF {path} because it is not the last file")
        raise CheckError
    print(f"This will shrink the AOF {path} from {size} bytes, with {size - valid} bytes, to {valid} bytes")
    if not ask("Continue? [y/N]: "):
        print("Aborting...")
        raise CheckError
    cut_file(path, valid)
    print(f"Successfully truncated AOF {path}")
