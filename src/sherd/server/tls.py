"""TLS of clients and of links to other servers: which directives it is made of, and handing them to the data plane."""

from __future__ import annotations

from sherd import native
from sherd.config import Config
from sherd.errors import ConfigError

# What new connections to the TLS port are served by, and new links to other servers speak.
TLS_PARAMETERS = (
    "tls-port", "tls-replication", "tls-cluster", "tls-client-cert-file", "tls-client-key-file",
    "tls-client-key-file-pass", "tls-cert-file", "tls-key-file", "tls-key-file-pass", "tls-ca-cert-file",
    "tls-ca-cert-dir", "tls-auth-clients", "tls-protocols", "tls-ciphers", "tls-ciphersuites",
    "tls-prefer-server-ciphers", "tls-session-caching", "tls-session-cache-size",
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
