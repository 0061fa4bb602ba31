"""TLS of clients and of links to other servers: which directives it is made of, and handing them to the data plane."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import Callable, Iterator

from sherd import native
from sherd.config import Config
from sherd.errors import ConfigError
from sherd.threads import in_thread

# What new connections to the TLS port are served by, and new links to other servers speak.
TLS_PARAMETERS = (
    "tls-port", "tls-replication", "tls-cluster", "tls-client-cert-file", "tls-client-key-file",
    "tls-client-key-file-pass", "tls-cert-file", "tls-key-file", "tls-key-file-pass", "tls-ca-cert-file",
    "tls-ca-cert-dir", "tls-auth-clients", "tls-protocols", "tls-ciphers", "tls-ciphersuites",
    "tls-prefer-server-ciphers", "tls-session-caching", "tls-session-cache-size",
)  # fmt: skip


# Files that may be renewed in their places; the last one is a folder.
CERTIFICATE_FILES = (
    "tls-cert-file", "tls-key-file", "tls-client-cert-file", "tls-client-key-file", "tls-ca-cert-file",
    "tls-ca-cert-dir",
)  # fmt: skip


def uses_tls(config: Config) -> bool:
    """Whether anything is to be encrypted."""
    return bool(config.get_int("tls-port")) or config.get_bool("tls-replication") or config.get_bool("tls-cluster")


def set_up_tls(engine: native.Server, config: Config) -> None:
    """Read and check certificates and keys, where TLS is on; ConfigError, and no change, where they are no good."""
    if not uses_tls(config):
        return
    try:
        engine.set_tls({name: _text(config.get(name)) for name in TLS_PARAMETERS})
    except ValueError as error:
        raise ConfigError(f"TLS cannot be set up: {error}") from error


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


class Renewals:
    """Certificates and keys that others renew in their places: looked for every `tls-auto-reload-interval` seconds.

    What was renewed only in part is no good and is left alone; the rest of it is a change as well.
    """

    def __init__(self, config: Config, renew: Callable[[], None]) -> None:
        self._config = config
        self._renew = renew
        # Before they are read: what is renewed while data are being loaded is seen later.
        self._seen = list(self._state()) if self._interval else []

    @functools.cached_property
    def _changed(self) -> asyncio.Event:
        # When it is first looked at: asyncio need not be there before.
        return asyncio.Event()

    def apply_configuration(self) -> None:
        """The interval may be another one."""
        self._changed.set()

    async def watch(self) -> None:
        """Have read again what was renewed, for as long as the server runs."""
        while True:
            self._changed.clear()
            interval = self._interval
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval or None):
                    await self._changed.wait()
            found = await in_thread(lambda: list(self._state()))
            if interval and found != self._seen:
                self._renew()
            self._seen = found

    @property
    def _interval(self) -> int:
        return self._config.get_int("tls-auto-reload-interval")

    def _state(self) -> Iterator[object]:
        """What tells one file from another that has its name: links, as secrets of Kubernetes are, are followed."""
        for name in CERTIFICATE_FILES:
            path = self._config.get_str(name)
            names = [path]
            if path and name == CERTIFICATE_FILES[-1]:
                with contextlib.suppress(OSError):
                    names += sorted(os.path.join(path, entry) for entry in os.listdir(path))  # noqa: PTH118, PTH208
            for file in names:
                try:
                    status = os.stat(file)  # noqa: PTH116 - of any path, and none
                except OSError:
                    yield file
                else:
                    yield file, status.st_ino, status.st_mtime_ns, status.st_size
