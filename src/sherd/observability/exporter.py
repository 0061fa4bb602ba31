"""The metrics page: /metrics for Prometheus, /healthz and /readyz for whoever watches over the process.

It has a listener and a thread of its own, so that a probe is answered while the control plane is busy and a scrape
never delays a command. A scrape reads one native snapshot; nothing on the way of a command knows of Prometheus.

The HTTP server is small on purpose, see `page_server`; `page_access` has what keeps strangers away.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from sherd.errors import SherdError
from sherd.observability.node import Node
from sherd.observability.page_server import TEXT, Answer, PageServer
from sherd.observability.replication import HANDSHAKE, SYNC

if TYPE_CHECKING:
    from ssl import SSLContext

    from sherd.observability.exposition import Exposition
    from sherd.observability.page_access import BasicAuth

# A control loop that has not come round for so long will not come back.
LOOP_LAG_SECONDS_MAX = 30.0


class MetricsServerError(SherdError):
    """The page's address cannot be used; one line for the operator."""


class MetricsAccessError(MetricsServerError):
    """The page cannot be protected as it is asked for."""


# What `MetricsServer.apply_configuration` reads.
ACCESS_PARAMETERS = frozenset({
    "metrics-tls", "metrics-user", "metrics-password", "tls-cert-file", "tls-key-file", "tls-key-file-pass",
    "tls-protocols",
})  # fmt: skip


class MetricsServer:
    """The page of one server. Raises MetricsServerError if its address cannot be bound or it cannot be protected."""

    def __init__(self, node: Node, host: str, port: int) -> None:
        self._node = node
        self._exposition: Exposition | None = None
        access = self._access()
        # Probes know no password, and are told nothing that is secret.
        probes = {"/healthz": self._healthz, "/readyz": self._readyz}
        pages = {"/metrics": self._metrics, **probes}
        self._server = PageServer(_bind(host, port), pages, slow={"/metrics"}, free=probes.keys())
        self._server.protect(*access)

    @property
    def port(self) -> int:
        """The port in use."""
        return self._server.port

    def start(self) -> None:
        """Serve in threads of its own."""
        self._server.start()

    def stop(self, *, wait: bool = True) -> None:
        """Close the listener and end the threads; idempotent. Without `wait` a scrape that goes on ends by itself."""
        self._server.stop(wait=wait)

    def apply_configuration(self) -> None:
        """Protect the page as the configuration says now; MetricsAccessError, and no change, where that cannot be."""
        self._server.protect(*self._access())

    def _access(self) -> tuple[SSLContext | None, BasicAuth | None]:
        config = self._node.config
        wants_tls, password = config.get_bool("metrics-tls"), config.get_str("metrics-password")
        if not wants_tls and not password:
            return None, None
        from sherd.observability.page_access import BasicAuth, PageTlsError, server_context

        try:
            tls = server_context(config) if wants_tls else None
        except PageTlsError as error:
            raise MetricsAccessError(str(error)) from error
        return tls, BasicAuth(config.get_str("metrics-user"), password) if password else None

    # ---- pages: status, content type, body

    def _metrics(self, accept: str) -> Answer:
        # Always in the one thread that makes slow pages.
        if self._exposition is None:
            # With the first scrape: what a server has that nobody scrapes is a listener.
            from sherd.observability.exposition import Exposition

            self._exposition = Exposition(self._node)
        return 200, *self._exposition.page(accept)

    def _healthz(self, _accept: str) -> Answer:
        lag = self._node.sampler.seconds_since_sample()
        if lag > LOOP_LAG_SECONDS_MAX:
            return 503, TEXT, f"the control plane has not come round for {lag:.0f} seconds\n".encode()
        return 200, TEXT, b"ok\n"

    def _readyz(self, _accept: str) -> Answer:
        node, replication = self._node, self._node.replication
        if node.stopping or replication.is_ending:
            return 503, TEXT, b"stopping\n"
        if not node.ready:
            return 503, TEXT, b"loading\n" if node.start_load is not None else b"starting\n"
        if replication.primary is not None and self._awaits_data():
            return 503, TEXT, b"syncing\n"
        return 200, TEXT, b"ready\n"

    def _awaits_data(self) -> bool:
        """Whether a replica is getting data and has none that it serves meanwhile. Without a primary that answers, it
        serves what it has."""
        from sherd.observability.loading import loading_flags

        replication = self._node.replication
        begins = replication.phase in {HANDSHAKE, SYNC} and not replication.knows_place
        return begins or loading_flags(self._node)[0]


def _bind(host: str, port: int) -> socket.socket:
    wildcard = host in ("", "*")
    try:
        if wildcard and socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server(("0.0.0.0" if wildcard else host, port), family=family)  # noqa: S104 - asked for
    except (OSError, ValueError) as error:  # a name that no system could know is a ValueError
        where = f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"
        raise MetricsServerError(f"cannot serve metrics on {where}: {_reason(error)}") from error


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return "that is no host name"
    if error.errno == errno.EADDRINUSE:
        # As every second server on a machine finds out.
        return f"{os.strerror(error.errno)} ('metrics-port' names another one, 0 none)"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
