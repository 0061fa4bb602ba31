"""What single directives of TLS do, and what no other test sends on an encrypted connection."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from sherd import certificates
from tests.support.resp import encode_command
from tests.support.tls import TlsServer, bound_seconds, serve

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sherd_only
versions = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of three authorities."""
    place = tmp_path_factory.mktemp("tls")
    for name in ("good", "other", "third"):
        certificates.make_certificates(place / name, ["localhost", "127.0.0.1"])
    return place


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which encrypts the key, is not installed")
@pytest.mark.parametrize(
    "options",
    [["-v2", "des3"], ["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"], ["-v1", "PBE-SHA1-3DES"]],
    ids=" ".join,
)
def test_a_key_that_is_encrypted_as_it_should_not_be_is_told_as_such(
    folder: Path, tmp_path: Path, options: list[str]
) -> None:
    """And not as one with another password."""
    key = tmp_path / "old.key"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", *options, "-in", folder / "good/server.key", "-out", key, "-passout", "pass:word"],
        timeout=bound_seconds, check=True,
    )  # fmt: skip
    with serve(folder) as tls, tls.server.wire() as plain:
        refused = plain.call("CONFIG", "SET", "tls-key-file", str(key), "tls-key-file-pass", "word").raw
        assert b"its encryption is of an old kind; `openssl pkcs8 -topk8 -v2 aes-256-cbc` makes a new one" in refused, (
            refused
        )
        assert tls.ping() == b"+PONG\r\n"


def _is_let_in(tls: TlsServer, client: str) -> bool:
    try:
        return tls.ping(tls.context(client)) == b"+PONG\r\n"
    except OSError:
        return False


def test_the_authorities_of_a_folder_are_trusted(folder: Path, tmp_path: Path) -> None:
    """Whatever its files are called, beside that of `tls-ca-cert-file` or without one; and no others."""
    (tmp_path / "5ed36f99.0").write_bytes((folder / "good/ca.crt").read_bytes())
    (tmp_path / "authority.pem").write_bytes((folder / "other/ca.crt").read_bytes())
    with serve(folder, tls_ca_cert_file="", tls_ca_cert_dir=str(tmp_path)) as tls, tls.server.wire() as plain:
        assert [_is_let_in(tls, name) for name in ("good", "other", "third")] == [True, True, False]
        only_third = ("tls-ca-cert-file", str(folder / "third/ca.crt"), "tls-ca-cert-dir", "")
        assert plain.call("CONFIG", "SET", *only_third).raw == b"+OK\r\n"
        assert [_is_let_in(tls, name) for name in ("good", "other", "third")] == [False, False, True]
        assert plain.call("CONFIG", "SET", "tls-ca-cert-dir", str(tmp_path)).raw == b"+OK\r\n"
        assert [_is_let_in(tls, name) for name in ("good", "other", "third")] == [True, True, True]
        refused = plain.call("CONFIG", "SET", "tls-ca-cert-dir", str(tmp_path / "none")).raw
        assert b"tls-ca-cert-dir" in refused and b"No such file" in refused, refused
        assert _is_let_in(tls, "good")


@versions
def test_no_session_is_resumed_where_none_is_kept(folder: Path, version: ssl.TLSVersion) -> None:
    """Neither from a ticket nor from a cache; and from then on where they are kept."""
    with serve(folder, tls_session_caching="no") as tls, tls.server.wire() as plain:
        visit = tls.visitor(version)
        session, _ = visit(None)
        assert not visit(session)[1]
        assert plain.call("CONFIG", "SET", "tls-session-caching", "yes").raw == b"+OK\r\n"
        session, _ = visit(None)
        assert visit(session)[1]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which asks to begin again, is not installed")
def test_a_connection_is_not_negotiated_anew(folder: Path) -> None:
    """Who asks for it is refused, and others go on."""
    good = folder / "good"
    with serve(folder) as tls, tls.connect() as before:
        client = subprocess.Popen(
            ["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{tls.port}", "-cert", good / "client.crt",
             "-key", good / "client.key", "-CAfile", good / "ca.crt"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert client.stdin is not None
        deadline = time.monotonic() + bound_seconds
        with tls.server.wire() as plain:
            while b"connected_clients:3\r\n" not in plain.value("INFO", "clients"):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        # Its name for it.
        client.stdin.write(b"R\n")
        client.stdin.flush()
        said = client.communicate(timeout=bound_seconds)[0]
        assert b"no renegotiation" in said, said
        before.sendall(encode_command("PING"))
        assert before.recv(100) == b"+PONG\r\n"


@versions
@pytest.mark.parametrize("is_reset", [False, True], ids=["end", "reset"])
def test_a_record_that_is_cut_off_is_told(folder: Path, version: ssl.TLSVersion, is_reset: bool) -> None:
    """What came whole before it is done, and nothing of what it would have said."""
    with serve(folder) as tls, tls.server.wire() as plain:
        context = tls.context()
        context.minimum_version = context.maximum_version = version
        received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(received, to_send, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", tls.port), bound_seconds) as wire:
            while True:
                try:
                    session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    wire.sendall(to_send.read())
                    received.write(wire.recv(1 << 16))
            session.write(encode_command("INCR", "whole"))
            wire.sendall(to_send.read())
            deadline = time.monotonic() + bound_seconds
            while plain.value("EXISTS", "whole") == 0:
                assert time.monotonic() < deadline
            session.write(encode_command("INCR", "cut"))
            wire.sendall(to_send.read()[:-4])
            if is_reset:
                # The part has been read by then.
                while b"tot-net-in=0 " in plain.value("CLIENT", "LIST"):
                    assert time.monotonic() < deadline
                time.sleep(0.1)
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                wire.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    while wire.recv(1 << 16):
                        pass
        assert "127.0.0.1:" in tls.logged("the client has gone in the middle of a record")
        assert plain.value("MGET", "whole", "cut") == [b"1", None]
