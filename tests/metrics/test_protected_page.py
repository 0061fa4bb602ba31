"""The metrics page over TLS and with a password: who sees what, what bad input leads to, and changes while it serves."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from sherd.certificates import make_certificates
from tests.metrics.served import ServedMetrics
from tests.protocol.test_limits import eventually
from tests.support.servers import sherd_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sherd_only

bound_seconds = 60
user, password = "prometheus", "open:s\u00e9same"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of one authority (`good`) and of another one (`other`)."""
    place = tmp_path_factory.mktemp("page")
    for name in ("good", "other"):
        make_certificates(place / name, ["localhost", "127.0.0.1"])
    return place


@contextlib.contextmanager
def _serving(**directives: str) -> Iterator[ServedMetrics]:
    served = ServedMetrics(**directives)
    try:
        yield served
    finally:
        served.stop()


def _encrypted(folder: Path, **more: str) -> contextlib.AbstractContextManager[ServedMetrics]:
    good = folder / "good"
    return _serving(
        metrics_tls="yes", tls_cert_file=str(good / "server.crt"), tls_key_file=str(good / "server.key"), **more
    )


def _trusts(folder: Path, authority: str = "good") -> ssl.SSLContext:
    return ssl.create_default_context(cafile=folder / authority / "ca.crt")


def _get(
    served: ServedMetrics, path: str, context: ssl.SSLContext | None = None, authorization: str | None = None
) -> tuple[int, str]:
    """Status and text of a page, over TLS if there is a context."""
    scheme = "https" if context else "http"
    request = urllib.request.Request(f"{scheme}://127.0.0.1:{served.metrics_port}{path}")
    if authorization is not None:
        request.add_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=bound_seconds, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _basic(name: str, word: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{word}".encode()).decode()


def test_the_page_speaks_tls_with_who_trusts_its_certificate(folder: Path) -> None:
    """And nothing else."""
    with _encrypted(folder) as served:
        status, text = _get(served, "/metrics", _trusts(folder))
        assert status == 200
        assert "redis_up 1" in text
        assert _get(served, "/healthz", _trusts(folder)) == (200, "ok\n")
        eventually(lambda: _get(served, "/readyz", _trusts(folder)) == (200, "ready\n"), "it is ready")
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            _get(served, "/metrics", _trusts(folder, "other"))
        with pytest.raises((OSError, urllib.error.URLError)):
            _get(served, "/metrics")


def test_garbage_and_silence_on_the_encrypted_page_keep_nobody_from_it(folder: Path) -> None:
    """Connections that never finish their handshake give way to those that do."""
    with _encrypted(folder) as served, contextlib.ExitStack() as stack:
        for number in range(60):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", served.metrics_port), bound_seconds))
            with contextlib.suppress(OSError):
                client.sendall((b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 20)[number % 4])
        assert _get(served, "/healthz", _trusts(folder)) == (200, "ok\n")
        assert _get(served, "/metrics", _trusts(folder))[0] == 200


def test_a_request_that_is_too_long_is_refused_over_tls_as_well(folder: Path) -> None:
    """Whatever records it comes in."""
    with _encrypted(folder) as served:
        plain = socket.create_connection(("127.0.0.1", served.metrics_port), timeout=bound_seconds)
        with _trusts(folder).wrap_socket(plain, server_hostname="127.0.0.1") as wire:
            wire.sendall(b"GET /" + b"x" * 16_000)
            assert wire.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_a_password_is_asked_for_but_by_probes() -> None:
    """A wrong one, a wrong name, another scheme and nonsense are all refused."""
    with _serving(metrics_user=user, metrics_password=password) as served:
        refused = (
            None, "", "Basic", "Basic !", "Basic =", "Bearer " + _basic(user, password)[6:], _basic(user, "wrong"),
            _basic("other", password), _basic(user, ""), _basic(user, password) + ", Basic eDp5", "Basic " + "x" * 5000,
        )  # fmt: skip
        for authorization in refused:
            status, text = _get(served, "/metrics", authorization=authorization)
            assert (status, text) == (401, "a name and a password are asked for\n"), authorization
        assert _get(served, "/nothing")[0] == 401
        assert _get(served, "/healthz") == (200, "ok\n")
        # It answers clients a moment before it says so.
        eventually(lambda: _get(served, "/readyz") == (200, "ready\n"), "it is ready")
        for scheme in ("Basic", "basic"):
            status, text = _get(served, "/metrics", authorization=_basic(user, password).replace("Basic", scheme))
            assert status == 200
            assert "redis_up 1" in text
        assert "wrong password for the metrics page" in served.server.log()
        assert password not in served.server.log()


def test_a_refusal_says_how_one_is_to_authenticate() -> None:
    """So that a browser asks."""
    with _serving(metrics_password="x") as served, pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{served.metrics_port}/metrics", timeout=bound_seconds)
    assert refused.value.headers["WWW-Authenticate"].startswith("Basic ")
    refused.value.close()


def test_tls_and_password_change_while_the_page_serves(folder: Path) -> None:
    """CONFIG SET swaps certificates, turns TLS and the password on and off, and refuses files that are no good."""
    with _serving() as served, served.server.wire() as wire:
        assert _get(served, "/metrics")[0] == 200
        refusal = wire.call("CONFIG", "SET", "metrics-tls", "yes")
        assert refusal.is_error
        assert b"tls-cert-file is not set" in refusal.raw
        assert _get(served, "/metrics")[0] == 200
        for authority in ("good", "other", "good"):
            here = folder / authority
            words = ("metrics-tls", "yes", "tls-cert-file", str(here / "server.crt"), "tls-key-file",
                     str(here / "server.key"))  # fmt: skip
            assert wire.call("CONFIG", "SET", *words).raw == b"+OK\r\n"
            assert _get(served, "/metrics", _trusts(folder, authority))[0] == 200
        assert wire.call("CONFIG", "SET", "tls-cert-file", str(folder / "other/server.crt")).is_error
        assert _get(served, "/healthz", _trusts(folder))[0] == 200
        assert wire.call("CONFIG", "SET", "metrics-password", "a").raw == b"+OK\r\n"
        assert _get(served, "/metrics", _trusts(folder))[0] == 401
        assert _get(served, "/metrics", _trusts(folder), _basic("metrics", "a"))[0] == 200
        assert wire.call("CONFIG", "SET", "metrics-password", "", "metrics-tls", "no").raw == b"+OK\r\n"
        assert _get(served, "/metrics")[0] == 200


def test_the_password_is_shown_to_nobody() -> None:
    """Neither by the slow log nor by the log."""
    with _serving(slowlog_log_slower_than="0") as served, served.server.wire() as wire:
        wire.call("CONFIG", "SET", "metrics-password", "secret-99")
        assert b"secret-99" not in wire.call("SLOWLOG", "GET", "-1").raw
        assert "secret-99" not in served.server.log()


def test_a_start_without_good_files_is_refused(folder: Path) -> None:
    """Whatever the port: who asks for TLS does not want to be served without."""
    words = [*sherd_command(), "serve", "--port", "0", "--unixsocket", str(folder / "s"), "--metrics-tls", "yes"]
    for more, reason in (
        ([], "tls-cert-file is not set"),
        (["--tls-cert-file", "/nonexistent", "--tls-key-file", "/nonexistent"], "No such file"),
    ):
        finished = subprocess.run([*words, *more], capture_output=True, text=True, timeout=bound_seconds, check=False)
        assert finished.returncode == 1
        assert reason in finished.stderr


def test_a_connection_that_is_idle_in_its_handshake_is_ended(folder: Path) -> None:
    """After the time that any request has."""
    with _encrypted(folder) as served:
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", served.metrics_port), timeout=bound_seconds) as silent:
            assert silent.recv(1) == b""
        assert time.monotonic() - begun > 1
