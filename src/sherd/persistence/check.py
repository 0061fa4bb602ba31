"""`sherd check-rdb`: what a snapshot holds, and where it is wrong, in the lines that redis-check-rdb prints."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from sherd import native
from sherd.persistence.progress import shown_progress


def check_rdb(path: str) -> int:
    """Print what was found; 0 if the file is sound, 1 if it is not or cannot be read."""
    try:
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with shown_progress(path) as progress:
            report = native.check_rdb(path, progress)
    except OSError as error:
        print(f"sherd: cannot read {path}: {error.strerror or error}", file=sys.stderr)
        return 1
    print(f"[offset 0] Checking RDB file {path}")
    for name, text in report["aux"]:
        print(f"[info] AUX FIELD {name} = '{text}'")
    fault = report["fault"]
    if fault is None:
        size = Path(path).stat().st_size
        print(f"[offset {size}] {'Checksum OK' if report['checksum'] else 'RDB file was saved with checksum disabled'}")
        print(f"[offset {size}] \\o/ RDB looks OK! \\o/")
    else:
        offset, key, what = fault
        print("--- RDB ERROR DETECTED ---")
        print(f"[offset {offset}] {what}")
        if key is not None:
            print(f"[additional info] Reading key '{key.decode('utf-8', 'backslashreplace')}'")
    print(f"[info] {report['keys']} keys read")
    print(f"[info] {report['volatile']} expires")
    print(f"[info] {report['expired']} already expired")
    if report["empty"]:
        print(f"[info] {report['empty']} empty, which are not loaded")
    return 0 if fault is None else 1
