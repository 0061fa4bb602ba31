"""MIGRATE with `tls-cluster`: keys travel over TLS, to other Sherds and to the references and from them; who is no good gets none."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from sherd.certificates import make_certificates
from tests.support.references import best_reference, need_reference
from tests.support.servers import Server, Shape, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import Program

pytestmark = pytest.mark.sherd_only

# Nobody waits for it: these moves succeed, however long the machine takes.
move_timeout_ms = "60000"
not_connected = b"-IOERR error or timeout connecting to the client\r\n"
not_written = b"-IOERR error or timeout writing to target instance\r\n"
not_read = b"-IOERR error or timeout reading to target instance\r\n"
large_bytes = 9_000_000
values = {
    "text": ("SET", "text", "value"),
    "large": ("SET", "large", "x" * large_bytes),
    "list": ("RPUSH", "list", *map(str, range(600))),
    **{f"number:{number}": ("SET", f"number:{number}", str(number)) for number in range(200)},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of one authority (`good`), and of another one."""
    place = tmp_path_factory.mktemp("moves")
    for name in ("good", "other"):
        make_certificates(place / name, ["node.example"])
    return place


def server_with_tls(folder: Path, program: Program | None = None, *, shape: Shape | None = None, **more: str) -> Server:
    """A server with a port for TLS, which speaks it to others as well."""
    good = folder / "good"
    directives = {
        "tls-port": str(free_port()), "tls-cert-file": str(good / "server.crt"), "tls-key-file": str(good / "server.key"),
        "tls-ca-cert-file": str(good / "ca.crt"), "tls-cluster": "yes",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }  # fmt: skip
    return Server(program, shape=shape, directives=directives)


def shows(folder: Path, name: str) -> dict[str, str]:
    """The certificate of another authority in place of a server's own."""
    return {
        "tls_cert_file": str(folder / name / "server.crt"),
        "tls_key_file": str(folder / name / "server.key"),
    }


def tls_port(server: Server) -> str:
    """Where clients that speak TLS connect."""
    return server.directives["tls-port"]


def migrate(source: Server, port: str, *words: str) -> bytes:
    """The reply to MIGRATE to a port of this host."""
    with source.wire(timeout_seconds=120) as wire:
        return wire.call("MIGRATE", "127.0.0.1", port, *words).raw


def refused(source: Server, port: str, timeout_ms: str = move_timeout_ms) -> bytes:
    """The reply to moving one key, which stays."""
    with source.wire() as wire:
        wire.call("SET", "k", "v")
        reply = migrate(source, port, "k", "0", timeout_ms)
        assert wire.value("GET", "k") == b"v"
    return reply


def move_all(source: Server, target: Server) -> None:
    """One key, then all the others at once; they are there as they were, and gone from here."""
    source.flush()
    with source.wire() as here, target.wire() as there:
        for reply in here.pipeline(list(values.values())):
            assert not reply.is_error, reply.raw
        assert migrate(source, tls_port(target), "text", "0", move_timeout_ms) == b"+OK\r\n"
        assert there.value("GET", "text") == b"value"
        assert migrate(source, tls_port(target), "", "0", move_timeout_ms, "KEYS", *values) == b"+OK\r\n"
        assert here.value("DBSIZE") == 0
        assert there.value("DBSIZE") == len(values)
        assert there.value("STRLEN", "large") == large_bytes
        assert there.value("LRANGE", "list", "0", "-1") == [str(number).encode() for number in range(600)]
        assert there.value("GET", "number:199") == b"199"


@pytest.mark.parametrize("shape", [Shape(), Shape(4, 2)], ids=["1-shard", "4-shards"])
def test_keys_move_between_sherds(folder: Path, shape: Shape) -> None:
    """Large ones and many; to a plain port they do not, nor to the TLS port without the directive."""
    with server_with_tls(folder, shape=shape) as source, server_with_tls(folder) as target:
        move_all(source, target)
        move_all(target, source)
        assert refused(source, str(target.port), "500") == not_connected
        with source.wire() as wire:
            assert wire.call("CONFIG", "SET", "tls-cluster", "no").raw == b"+OK\r\n"
        assert migrate(source, str(target.port), "k", "0", move_timeout_ms) == b"+OK\r\n"
        assert refused(source, tls_port(target)) in (not_written, not_read)


def test_keys_move_to_real_servers_and_back(folder: Path, reference_name: str) -> None:
    """With certificates of both sides."""
    program = need_reference(reference_name)
    with server_with_tls(folder, shape=Shape(2, 1)) as ours, server_with_tls(folder, program) as theirs:
        move_all(ours, theirs)
        move_all(theirs, ours)


@contextlib.contextmanager
def silent_port() -> Iterator[str]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield str(listener.getsockname()[1])


def test_who_is_no_good_gets_nothing_and_is_answered_as_elsewhere(folder: Path, reference_name: str) -> None:
    """A target with a wrong certificate, without TLS, without a word, or that is not there; the key stays."""
    program = need_reference(reference_name)
    with (
        server_with_tls(folder) as ours,
        server_with_tls(folder, program) as theirs,
        server_with_tls(folder, **shows(folder, "other")) as wrong,
        silent_port() as silent,
    ):
        targets = [tls_port(wrong), str(wrong.port), silent, str(free_port())]
        for port in targets:
            assert refused(ours, port, "500") == refused(theirs, port, "500") == not_connected, port
        assert "the server's certificate is not signed by an authority" in ours.log()


def test_a_target_may_refuse_the_certificate_that_it_is_shown(folder: Path) -> None:
    """`tls-client-cert-file` is what it is shown, where there is one."""
    good = folder / "good"
    client = {"tls_client_cert_file": str(good / "client.crt"), "tls_client_key_file": str(good / "client.key")}
    with server_with_tls(folder, best_reference()) as target, target.wire() as there:
        with server_with_tls(folder, **shows(folder, "other")) as source:
            # With TLS 1.3 a client hears of it behind its own handshake.
            assert refused(source, tls_port(target)) in (not_connected, not_written, not_read)
        with server_with_tls(folder, **shows(folder, "other"), **client) as source, source.wire() as here:
            here.call("SET", "k", "v")
            assert migrate(source, tls_port(target), "k", "0", move_timeout_ms) == b"+OK\r\n"
            assert (here.value("EXISTS", "k"), there.value("GET", "k")) == (0, b"v")


def test_a_server_does_not_move_a_key_onto_itself_by_its_tls_port(folder: Path) -> None:
    """It would be removed as sent. Into another database it may move."""
    with server_with_tls(folder) as server, server.wire() as wire:
        assert refused(server, tls_port(server)) == not_read
        assert migrate(server, tls_port(server), "k", "1", move_timeout_ms) == b"+OK\r\n"
        assert wire.pipeline([("EXISTS", "k"), ("SELECT", "1"), ("GET", "k")])[2].value == b"v"


def test_authorities_are_asked_for_that_say_which_target_is_good(folder: Path) -> None:
    """Without any, CONFIG SET is refused."""
    with Server() as server, server.wire() as wire:
        refusal = wire.call("CONFIG", "SET", "tls-cluster", "yes")
        assert refusal.is_error
        assert b"tls-cluster asks for certificates" in refusal.raw
        assert wire.value("CONFIG", "GET", "tls-cluster") == [b"tls-cluster", b"no"]
        words = ("tls-cluster", "yes", "tls-ca-cert-file", str(folder / "good/ca.crt"))
        assert wire.call("CONFIG", "SET", *words).raw == b"+OK\r\n"
