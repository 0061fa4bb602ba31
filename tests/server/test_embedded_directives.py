"""Directives of an embedded server: Python values in, one clear error out."""

from __future__ import annotations

import logging
import socket

import pytest

import sherd
from sherd.config import Config, load_config
from sherd.errors import ConfigError, SherdError
from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only


def test_python_values_become_directives() -> None:
    """Booleans, numbers, text, and lists for what takes several words."""
    server = sherd.Server(
        maxmemory="64mb", lazyfree_lazy_user_del=False, shards=3, bind=["127.0.0.1", "127.0.0.2"], cluster_enabled=True
    )
    config = server.config
    assert config.get_int("maxmemory") == 64 * 1024 * 1024
    assert config.get_bool("lazyfree-lazy-user-del") is False
    assert config.get_int("shards") == 3
    assert config.get_tuple("bind") == ("127.0.0.1", "127.0.0.2")
    assert config.get_bool("cluster-enabled") is True


def test_a_directive_that_does_not_exist_or_fit_is_refused_before_anything_starts() -> None:
    """The error names the directive."""
    with pytest.raises(ConfigError, match=r"unknown directive 'max-memory' \(did you mean 'maxmemory'\?\)"):
        sherd.Server(max_memory="1gb")
    with pytest.raises(ConfigError, match="'maxmemory lots'"):
        sherd.Server(maxmemory="lots")


def test_an_embedded_server_listens_on_loopback_and_has_no_metrics_page() -> None:
    """Nothing that a program did not ask for."""
    with sherd.Server() as server:
        assert server.node.listeners[0].addresses == ("127.0.0.1",)
        assert server.metrics_port == 0


def test_a_whole_configuration_is_taken_as_it_is() -> None:
    """From load_config, with single directives over it."""
    config = load_config(None, ["--databases", "3", "--port", "1"], environment={})
    with (
        sherd.Server(config, port=0, bind="127.0.0.1", metrics_port=0) as server,
        Wire(("127.0.0.1", server.port)) as wire,
    ):
        assert wire.value("CONFIG", "GET", "databases") == [b"databases", b"3"]
        assert wire.value("CONFIG", "GET", "port") == [b"port", str(server.port).encode()]


def test_a_port_that_is_taken_is_an_error_of_the_caller() -> None:
    """And the second server leaves nothing behind."""
    with sherd.Server() as first:
        second = sherd.Server(port=first.port)
        with pytest.raises(SherdError, match=f"cannot listen on 127.0.0.1:{first.port}: Address already in use"):
            second.start()
        second.stop()


def test_a_metrics_port_that_was_asked_for_and_is_taken_is_an_error() -> None:
    """Only the default one may be missing."""
    with sherd.Server(metrics_port=0) as first, pytest.raises(SherdError, match="cannot serve metrics on"):
        sherd.Server(metrics_port=first.port).start()


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    """As a finally block does."""
    sherd.Server(Config()).stop()


def test_an_embedded_server_logs_to_pythons_logging(caplog: pytest.LogCaptureFixture) -> None:
    """The program decides what happens to the lines."""
    with caplog.at_level(logging.INFO), sherd.Server() as server, Wire(("127.0.0.1", server.port)) as wire:
        wire.call("CONFIG", "SET", "maxmemory", "1gb")
    assert any("configuration changed" in record.getMessage() for record in caplog.records)


def test_a_change_that_the_data_plane_cannot_make_is_taken_back() -> None:
    """All of it, where one of several values cannot be had."""
    with (
        sherd.Server() as server,
        Wire(("127.0.0.1", server.port)) as wire,
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        reply = wire.call("CONFIG", "SET", "maxmemory", "1gb", "port", str(taken.getsockname()[1])).raw
        assert reply == (
            b"-ERR CONFIG SET failed (possibly related to argument 'port') - "
            b"Unable to listen on this port. Check server logs.\r\n"
        )
        assert wire.value("CONFIG", "GET", "maxmemory") == [b"maxmemory", b"0"]
        assert wire.value("CONFIG", "GET", "port") == [b"port", str(server.port).encode()]
