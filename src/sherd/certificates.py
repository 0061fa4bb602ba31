"""Certificates for tests and first steps: an authority of one's own, and what it signs (`sherd cert`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sherd import native
from sherd.errors import SherdError

DAYS = 365
HOSTS = ("localhost", "127.0.0.1", "::1")


class CertificateError(SherdError):
    """Certificates that cannot be made; one line for the operator."""


def make_certificates(
    folder: Path, hosts: Sequence[str] = HOSTS, *, client: str = "client", days: int = DAYS
) -> list[Path]:
    """Make an authority, a certificate of a server for these hosts, and one of a client; returns the files.

    Each is a `.crt` and a `.key` in PEM; keys are readable by their owner alone. Raises CertificateError where one of
    the files is there already: nothing is written then.
    """
    try:
        made = native.make_certificates(list(hosts), client, days)
    except ValueError as error:
        raise CertificateError(f"certificates cannot be made: {error}") from error
    present = next((name for name, _ in made if (folder / name).exists()), None)
    if present is not None:
        raise CertificateError(f"{folder / present} is there already; nothing was changed")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made:
            mode = 0o600 if name.endswith(".key") else 0o644
            with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(text)
    except OSError as error:
        raise CertificateError(f"{error.filename}: {error.strerror}") from error
    return [folder / name for name, _ in made]
