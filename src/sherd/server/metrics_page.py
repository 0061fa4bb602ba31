"""The metrics page in a server's life: opened at the start, moved and protected as the configuration changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sherd.config import Source
from sherd.errors import ConfigApplyError, ConfigError
from sherd.log import get_logger
from sherd.observability.exporter import ACCESS_PARAMETERS, MetricsAccessError, MetricsServer, MetricsServerError

if TYPE_CHECKING:
    from sherd.observability.node import Node

_log = get_logger()

_PLACE_PARAMETERS = frozenset({"metrics-port", "metrics-bind"})


class MetricsPage:
    """The page of one server, where the configuration has it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._server: MetricsServer | None = None

    @property
    def port(self) -> int:
        """The port in use; 0 where there is no page."""
        return self._server.port if self._server is not None else 0

    def open(self) -> None:
        """Serve the page, if the configuration wants one; ConfigError where it cannot be served."""
        config = self._node.config
        port = config.get_int("metrics-port")
        if not port:
            return
        try:
            self._server = MetricsServer(self._node, config.get_str("metrics-bind"), port)
        except MetricsServerError as error:
            # The default port may belong to another server on this machine; one that was asked for must work.
            is_asked_for = config.source("metrics-port") is not Source.DEFAULT
            if is_asked_for or isinstance(error, MetricsAccessError):
                raise ConfigError(str(error)) from error
            _log.warning("there is no metrics page", reason=str(error))
        else:
            self._server.start()

    def apply_configuration(self, changed: frozenset[str]) -> None:
        """Serve the page where the configuration says, and protect it so; ConfigApplyError where that cannot be."""
        if changed & _PLACE_PARAMETERS:
            self._reopen()
        elif changed & ACCESS_PARAMETERS and self._server is not None:
            try:
                self._server.apply_configuration()
            except MetricsServerError as error:
                raise ConfigApplyError(min(changed & ACCESS_PARAMETERS), str(error)) from error

    def _reopen(self) -> None:
        # A scrape may be waiting for shards that a transaction with this very CONFIG SET holds.
        self.close(wait=False)
        try:
            self.open()
        except ConfigError as error:
            raise ConfigApplyError("metrics-port", str(error)) from error

    def close(self, *, wait: bool = True) -> None:
        """Close the listener and end the threads; idempotent. Without `wait` a scrape that goes on ends by itself."""
        if self._server is not None:
            self._server.stop(wait=wait)
            self._server = None
