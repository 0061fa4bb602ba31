"""Where the server listens: the `bind` directive, ports and Unix sockets, turned into bound addresses.

An address with a leading `-` may be missing on this machine (`-::*` where there is no IPv6); a port that is taken is
always an error. Names are resolved here, the data plane takes numeric addresses only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sherd.config import BY_NAME, Config
from sherd.errors import ConfigApplyError, SherdError
from sherd.log import get_logger
from sherd.observability.node import Listener, Node
from sherd.record import record

if TYPE_CHECKING:
    from sherd import native

_log = get_logger()

# An address or a protocol that this machine does not have.
_MISSING = frozenset({
    errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT,
    errno.ENOPROTOOPT,
})  # fmt: skip


class ListenError(SherdError):
    """An address that cannot be listened on; one line for the operator."""


# Parameters whose change needs other sockets, with Redis' own words for a refusal.
_SOCKETS = {
    "port": "Unable to listen on this port. Check server logs.",
    "tls-port": "Unable to listen on this port. Check server logs.",
    "bind": "Failed to bind to specified addresses.",
}


class Listeners:
    """What a server listens on. `any_port`: the configured port 0 means "any free one" rather than "no TCP"."""

    def __init__(self, node: Node, *, any_port: bool) -> None:
        self._node = node
        self._any_port = any_port
        # Ports and addresses, as they were configured.
        self._listened: tuple[int, int, tuple[str, ...]] = (0, 0, ())
        # What is bound for a change of the configuration that is not in force yet.
        self._coming: list[Listener] | None = None

    def open(self) -> None:
        """Bind everything that the configuration names; raises ListenError."""
        node, config = self._node, self._node.config
        wanted = config.get_int("port")
        node.listeners = open_listeners(node.engine, config, wanted if wanted or self._any_port else -1)
        if node.port:
            config.put(BY_NAME["port"], node.port, config.source("port"))
        self._listened = self._wanted()

    def prepare(self, changed: frozenset[str]) -> None:
        """Bind by TCP what the configuration names, for `commit`; ConfigApplyError where that cannot be, and no change.

        Clients that are connected stay.
        """
        node = self._node
        if self._coming is not None:  # the change is taken back
            self._coming = None
            node.engine.end_rebind(False)
            return
        parameter = next((name for name in _SOCKETS if name in changed), None)
        if parameter is None or self._wanted() == self._listened:
            return
        try:
            self._coming = bind_tcp_listeners(node.engine, node.config, node.listeners)
        except ListenError as error:
            _log.warning("the server goes on listening where it did", parameter=parameter, reason=str(error))
            raise ConfigApplyError(parameter, _SOCKETS[parameter]) from error

    def commit(self) -> None:
        """Accept clients where `prepare` has bound, and nowhere else."""
        if self._coming is None:
            return
        node = self._node
        node.engine.end_rebind(True)
        node.listeners, self._coming = self._coming, None
        self._listened = self._wanted()
        for listener in node.listeners:
            if listener.has_port:
                _log.info("listening", kind=listener.kind, addresses=" ".join(listener.addresses), port=listener.port)

    def remove_files(self) -> None:
        """Remove the files of Unix sockets."""
        for listener in self._node.listeners:
            if not listener.has_port:
                with contextlib.suppress(OSError):
                    Path(listener.addresses[0]).unlink()

    def _wanted(self) -> tuple[int, int, tuple[str, ...]]:
        config = self._node.config
        return config.get_int("port"), config.get_int("tls-port"), config.get_tuple("bind")


@record
class Address:
    """One word of `bind`: as it was written, numeric hosts, and whether it may be missing."""

    text: str
    hosts: tuple[str, ...]
    optional: bool


def parse_address(word: str) -> Address:
    """A word of the bind directive; raises ListenError for a name that cannot be resolved."""
    optional = word.startswith("-")
    host = word.removeprefix("-")
    wildcard = {"*": "0.0.0.0", "::*": "::"}.get(host)  # noqa: S104 - what the operator asks for
    if wildcard is not None:
        return Address(word, (wildcard,), optional)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # a name that no system could know is a ValueError
        if optional:
            return Address(word, (), optional)
        reason = error.strerror if isinstance(error, OSError) else "that is no host name"
        raise ListenError(f"cannot resolve the address '{host}': {reason}") from error
    return Address(word, tuple(dict.fromkeys(str(entry[4][0]) for entry in found)), optional)


def open_listeners(engine: native.Server, config: Config, port: int) -> list[Listener]:
    """Bind everything that the configuration names; `port` 0 takes any free one, negative turns TCP without TLS off."""
    listeners = _open_ports(engine, config, port)
    backlog = config.get_int("tcp-backlog")
    path = config.get_str("unixsocket")
    if path:
        listeners.append(_open_unix(engine, config, Path(path).absolute(), backlog))
    if not listeners:
        raise ListenError("nothing to listen on: no address of the bind directive could be used")
    return listeners


def bind_tcp_listeners(engine: native.Server, config: Config, present: Sequence[Listener]) -> list[Listener]:
    """Bind what the configuration names now, to take the place of what is bound by TCP; port 0 closes that only.

    `engine.end_rebind` follows, before which nobody is accepted there. Raises ListenError where an address cannot be
    had; then all is as it was.
    """
    port = config.get_int("port") or -1
    wanted = (port > 0) + bool(config.get_int("tls-port"))
    engine.begin_rebind()
    opened: list[Listener] = []
    try:
        opened = _open_ports(engine, config, port)
    finally:
        if len(opened) != wanted:
            engine.end_rebind(False)
    if len(opened) < wanted:
        raise ListenError("no address of the bind directive could be used")
    return opened + [listener for listener in present if not listener.has_port]


def _open_ports(engine: native.Server, config: Config, port: int) -> list[Listener]:
    tls_port = config.get_int("tls-port")
    addresses = [parse_address(word) for word in config.get_tuple("bind")] if port >= 0 or tls_port else []
    backlog = config.get_int("tcp-backlog")
    opened = _open_tcp(engine, addresses, (port, backlog), tls=False) if port >= 0 else []
    if tls_port:
        opened += _open_tcp(engine, addresses, (tls_port, backlog), tls=True)
    return opened


def _open_tcp(
    engine: native.Server, addresses: Sequence[Address], port_and_backlog: tuple[int, int], *, tls: bool
) -> list[Listener]:
    port, backlog = port_and_backlog
    bound: list[str] = []
    for address in addresses:
        for host in address.hosts:
            try:
                # The port that the first address got is everybody's.
                port = engine.listen(host, port, backlog, tls)
            except OSError as error:
                if address.optional and error.errno in _MISSING:
                    continue
                where = _host_and_port(host, port)
                raise ListenError(f"cannot listen on {where}: {_reason(error)}{_way_out(error, tls=tls)}") from error
            if address.text not in bound:
                bound.append(address.text)
    return [Listener("tls" if tls else "tcp", tuple(bound), port)] if bound else []


def _open_unix(engine: native.Server, config: Config, path: Path, backlog: int) -> Listener:
    if path.exists() and not path.is_socket():
        raise ListenError(f"cannot listen on the Unix socket {path}: there is a file that is no socket")
    try:
        engine.listen_unix(str(path), config.get_int("unixsocketperm"), backlog)
        group = config.get_str("unixsocketgroup")
        if group:
            import grp  # for a group's number only

            os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except (OSError, KeyError) as error:
        raise ListenError(f"cannot listen on the Unix socket {path}: {_reason(error)}") from error
    return Listener("unix", (str(path),))


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _way_out(error: OSError, *, tls: bool) -> str:
    """What to do about a port that is taken."""
    return f" ('{'tls-port' if tls else 'port'}' names another one)" if error.errno == errno.EADDRINUSE else ""


def _reason(error: OSError | KeyError) -> str:
    if isinstance(error, KeyError):
        return "the group of unixsocketgroup does not exist"
    return os.strerror(error.errno) if error.errno else str(error)
