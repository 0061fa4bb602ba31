"""TLS: who is let in and how, what bad input leads to, and certificates that change while connections go on."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from sherd import certificates
from tests.support.resp import encode_command
from tests.support.servers import Shape, free_port, sherd_program
from tests.support.tls import TlsServer, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

bound_seconds = 60.0
shapes = [Shape(shards=1, io_threads=1), Shape(shards=4, io_threads=2)]
hosts = ["localhost", "127.0.0.1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of one authority (`good`) and of another one (`other`)."""
    place = tmp_path_factory.mktemp("tls")
    certificates.make_certificates(place / "good", hosts)
    certificates.make_certificates(place / "other", hosts)
    certificates.make_certificates(place / "expired", hosts, days=-1)
    return place


@pytest.fixture(params=shapes, ids=lambda shape: f"{shape.shards}-shards-{shape.io_threads}-threads", scope="module")
def tls(request: pytest.FixtureRequest, folder: Path) -> Iterator[TlsServer]:
    """A server with both ports that wants certificates of clients."""
    with serve(folder, request.param) as server:
        yield server


def _client(tls: TlsServer, **options: object) -> redis.Redis:
    good = tls.folder / "good"
    keys = {"ssl_certfile": str(good / "client.crt"), "ssl_keyfile": str(good / "client.key")}
    return redis.Redis(port=tls.port, ssl=True, ssl_ca_certs=str(good / "ca.crt"), **{**keys, **options})  # type: ignore[arg-type]


def test_redis_py_does_all_that_it_does_without(tls: TlsServer) -> None:
    """Pipelines, large values, transactions, scripts, messages and commands of the control plane."""
    with _client(tls) as client, _client(tls, protocol=3) as other:
        client.flushall()
        big = bytes(range(256)) * 20_000
        assert client.set("big", big)
        assert other.get("big") == big
        pipeline = client.pipeline(transaction=False)
        for number in range(2000):
            pipeline.set(f"key:{number}", number)
            pipeline.get(f"key:{number}")
        assert pipeline.execute()[1::2] == [str(number).encode() for number in range(2000)]
        assert client.pipeline().incr("n").incr("n").config_get("maxmemory").execute()[:2] == [1, 2]
        assert client.eval("return redis.call('GET', KEYS[1])", 1, "n") == b"2"
        assert client.config_get("tls-port") == {"tls-port": str(tls.port)}
        assert client.info("server")["listener1"]["name"] == "tls"
        with client.pubsub() as listener:
            listener.subscribe("c")
            listener.get_message(timeout=bound_seconds)
            other.publish("c", "hello")
            message = listener.get_message(timeout=bound_seconds)
            assert message is not None
            assert message["data"] == b"hello"
        assert client.blpop(["nothing"], timeout=0.01) is None


def test_both_ports_lead_to_the_same_keys(tls: TlsServer) -> None:
    """One with encryption, one without."""
    with _client(tls) as client, tls.server.wire() as plain:
        client.set("k", "1")
        assert plain.value("GET", "k") == b"1"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(tls: TlsServer, version: ssl.TLSVersion) -> None:
    """In both versions of the protocol, and not when the server is set up anew."""
    visit = tls.visitor(version)
    session, reused = visit(None)
    assert not reused
    session, reused = visit(session)
    assert reused
    with tls.server.wire() as plain:
        plain.value("CONFIG", "SET", "tls-session-cache-size", "1000")
        assert not visit(session)[1]
        plain.value("CONFIG", "SET", "tls-session-cache-size", "20480")


def _help(program: str) -> str:
    shown = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=bound_seconds, check=False)
    return shown.stdout + shown.stderr


def test_redis_cli_connects(tls: TlsServer) -> None:
    """As the documentation says."""
    program = next(
        (path for path in ("/opt/ref/bin/redis-cli", shutil.which("redis-cli")) if path and Path(path).exists()), ""
    )
    if not program or "--cacert" not in _help(program):
        pytest.skip("no redis-cli with TLS on this machine")
    good = tls.folder / "good"
    finished = subprocess.run(
        [program, "--tls", "-p", str(tls.port), "--cacert", good / "ca.crt", "--cert", good / "client.crt",
         "--key", good / "client.key", "PING"],
        capture_output=True, text=True, timeout=bound_seconds, check=False,
    )  # fmt: skip
    assert finished.stdout == "PONG\n", finished.stderr


@pytest.mark.parametrize(
    ("client", "line"),
    [(None, "the client shows no certificate"), ("other", "not signed by an authority"), ("expired", "has expired")],
)
def test_who_has_no_good_certificate_is_not_let_in(folder: Path, client: str | None, line: str) -> None:
    """The log says why, and others go on."""
    authorities = folder / "authorities.crt"
    authorities.write_bytes((folder / "good/ca.crt").read_bytes() + (folder / "expired/ca.crt").read_bytes())
    with serve(folder, tls_ca_cert_file=str(authorities)) as tls, tls.connect() as before:
        with contextlib.suppress(OSError):
            assert tls.ping(tls.context(client)) == b""
        assert "127.0.0.1:" in tls.logged(line)
        before.sendall(encode_command("PING"))
        assert before.recv(100) == b"+PONG\r\n"


def test_certificates_of_clients_may_be_optional_or_not_asked_for(folder: Path) -> None:
    """Where they are optional, one that is shown must still be good."""
    with serve(folder, tls_auth_clients="optional") as tls:
        assert tls.ping(tls.context(None)) == tls.ping() == b"+PONG\r\n"
        with contextlib.suppress(OSError):
            assert tls.ping(tls.context("other")) == b""
        tls.logged("not signed by an authority")
    with serve(folder, tls_auth_clients="no", tls_ca_cert_file="") as tls:
        assert tls.ping(tls.context(None)) == tls.ping(tls.context("other")) == b"+PONG\r\n"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (encode_command("PING"), "no TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "no TLS"),
        (bytes(range(256)) * 100, "no TLS"),
        (b"\x16\x03\x01\x00\x05hello", "a TLS connection was ended"),
        (b"\x16\x03\x01\xff\xff" + b"x" * 70000, "a TLS connection was ended"),
        (b"\x17\x03\x03\x00\x20" + b"x" * 32, "a TLS connection was ended"),
    ],
    ids=["plain text", "http", "garbage", "no hello", "too long a record", "data first"],
)
def test_what_is_no_handshake_ends_the_connection_and_nothing_else(folder: Path, data: bytes, line: str) -> None:
    """With a line in the log."""
    with serve(folder) as tls, tls.connect() as before:
        with (
            socket.create_connection(("127.0.0.1", tls.port), timeout=bound_seconds) as bad,
            contextlib.suppress(OSError),
        ):
            bad.sendall(data)
            while bad.recv(1000):
                pass
        assert "127.0.0.1:" in tls.logged(line)
        before.sendall(encode_command("PING"))
        assert before.recv(100) == b"+PONG\r\n"


def test_a_handshake_that_is_broken_off_or_takes_too_long_is_ended(folder: Path) -> None:
    """Silence behind half a hello, and an end in the middle of it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context(cafile=folder / "good/ca.crt").wrap_bio(incoming, outgoing, server_hostname="x")
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    half = outgoing.read()[:100]
    with serve(folder) as tls:
        with socket.create_connection(("127.0.0.1", tls.port)) as gone:
            gone.sendall(half)
        tls.logged("gone in the middle of the handshake")
        with socket.create_connection(("127.0.0.1", tls.port), timeout=bound_seconds) as silent:
            silent.sendall(half)
            assert silent.recv(100) == b""
        tls.logged("no handshake within")


def test_a_record_that_is_forged_ends_its_connection(folder: Path) -> None:
    """Bytes that were changed or put in on the way."""
    with serve(folder) as tls, tls.connect() as wire:
        wire.sendall(encode_command("PING"))
        assert wire.recv(100) == b"+PONG\r\n"
        raw = socket.socket(fileno=wire.detach())
        with raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            with contextlib.suppress(OSError):
                while raw.recv(1000):
                    pass
        tls.logged("a record cannot be decrypted")
        assert tls.ping() == b"+PONG\r\n"


def _shake_hands(tls: TlsServer, version: ssl.TLSVersion) -> tuple[socket.socket, ssl.SSLObject, ssl.MemoryBIO]:
    """A client that says itself what it sends together: the socket, the session, and what that would have sent."""
    context = tls.context()
    context.minimum_version = context.maximum_version = version
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(received, to_send, server_hostname="localhost")
    wire = socket.create_connection(("127.0.0.1", tls.port), bound_seconds)
    while True:
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            wire.sendall(to_send.read())
            received.write(wire.recv(1 << 16))
        else:
            return wire, session, to_send


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("together", [True, False], ids=["with-its-last-request", "later"])
@pytest.mark.parametrize("request_line", ["PING", "BLPOP nothing 0", "BLPOP nothing 0\nSET k v", "WAIT 1 0"])
def test_the_end_of_a_session_ends_the_connection(
    tls: TlsServer, version: ssl.TLSVersion, together: bool, request_line: str
) -> None:
    """Wherever it comes, and though the client leaves its socket open and the server does not read while a client waits."""
    wire, session, to_send = _shake_hands(tls, version)
    with wire, tls.server.wire() as plain:
        session.write(b"".join(encode_command(*line.split()) for line in request_line.splitlines()))
        if not together:
            wire.sendall(to_send.read())
            deadline = time.monotonic() + bound_seconds
            while request_line != "PING" and b"blocked_clients:0\r\n" in plain.value("INFO", "clients"):
                assert time.monotonic() < deadline, "the client does not wait"
        with contextlib.suppress(ssl.SSLWantReadError):
            session.unwrap()
        wire.sendall(to_send.read())
        while wire.recv(1 << 16):
            pass
        deadline = time.monotonic() + bound_seconds
        while b"blocked_clients:0\r\n" not in plain.value("INFO", "clients"):
            assert time.monotonic() < deadline, "the client waits on"


def test_nothing_is_popped_for_a_client_of_asyncio_that_has_closed(tls: TlsServer) -> None:
    """It ends its session and has the server end the connection."""

    async def wait_and_leave() -> None:
        _, writer = await asyncio.open_connection("localhost", tls.port, ssl=tls.context())
        writer.write(encode_command("BLPOP", "jobs", "0"))
        await asyncio.to_thread(await_blocked, b"1")
        writer.close()
        await asyncio.to_thread(await_blocked, b"0")
        assert plain.value("RPUSH", "jobs", "one") == 1
        assert plain.value("LLEN", "jobs") == 1

    def await_blocked(count: bytes) -> None:
        deadline = time.monotonic() + bound_seconds
        while b"blocked_clients:%b\r\n" % count not in plain.value("INFO", "clients"):
            assert time.monotonic() < deadline, f"not {count!r} clients wait"
            time.sleep(0.01)

    with tls.server.wire() as plain:
        plain.value("DEL", "jobs")
        asyncio.run(wait_and_leave())


def test_certificates_are_swapped_while_connections_go_on(folder: Path) -> None:
    """New connections get the new one; bad ones are refused and change nothing."""
    with serve(folder, shapes[1]) as tls, tls.server.wire() as plain, tls.connect() as before:
        stop = threading.Event()
        errors: list[BaseException] = []

        def use(wire: ssl.SSLSocket) -> None:
            try:
                while not stop.is_set():
                    wire.sendall(encode_command("PING"))
                    assert wire.recv(100) == b"+PONG\r\n"
            except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
                errors.append(error)

        user = threading.Thread(target=use, args=(before,), daemon=True)
        user.start()
        other = folder / "other"
        try:
            for _ in range(5):
                new = ("tls-cert-file", str(other / "server.crt"), "tls-key-file", str(other / "server.key"))
                assert plain.value("CONFIG", "SET", *new) == b"OK"
                assert tls.ping(tls.context("good", "other")) == b"+PONG\r\n"
                with pytest.raises(ssl.SSLCertVerificationError):
                    tls.connect()
                for bad in (
                    ("tls-cert-file", str(folder / "good/server.crt")),
                    ("tls-cert-file", "/nonexistent"),
                    ("tls-key-file", str(folder / "good/ca.crt")),
                    ("tls-ca-cert-file", ""),
                    ("tls-protocols", "TLSv1.1"),
                    ("tls-ciphers", "NOSUCH"),
                ):
                    reply = plain.call("CONFIG", "SET", *bad)
                    assert reply.is_error
                    assert b"TLS cannot be set up" in reply.raw
                    assert tls.ping(tls.context("good", "other")) == b"+PONG\r\n"
                good = folder / "good"
                old = ("tls-cert-file", str(good / "server.crt"), "tls-key-file", str(good / "server.key"))
                assert plain.value("CONFIG", "SET", *old) == b"OK"
                assert tls.ping() == b"+PONG\r\n"
        finally:
            stop.set()
            user.join(bound_seconds)
        assert not errors


def test_certificates_that_are_renewed_in_their_places_are_read_by_themselves(folder: Path, tmp_path: Path) -> None:
    """Also where they are links to a folder that is replaced, as in Kubernetes; what is renewed in part waits for the rest."""
    for name in ("good", "other"):
        shutil.copytree(folder / name, tmp_path / name)
    data = tmp_path / "data"
    data.symlink_to("good")
    files = {"tls-cert-file": str(data / "server.crt"), "tls-key-file": str(data / "server.key")}
    with serve(folder, **files, tls_auto_reload_interval="0") as tls, tls.server.wire() as plain:
        assert tls.ping() == b"+PONG\r\n"
        assert plain.value("CONFIG", "SET", "tls-auto-reload-interval", "1") == b"OK"
        new = tls.context("good", "other")

        def serves_the_new_one() -> bool:
            try:
                return tls.ping(new) == b"+PONG\r\n"
            except ssl.SSLCertVerificationError:
                return False

        time.sleep(1.5)
        (tmp_path / "next").symlink_to("other")
        (tmp_path / "next").replace(data)
        _until(serves_the_new_one)
        shutil.copy(folder / "good/server.crt", tmp_path / "other/server.crt")
        tls.logged("stays as it was")
        assert serves_the_new_one()
        shutil.copy(folder / "good/server.key", tmp_path / "other/server.key")
        _until(lambda: not serves_the_new_one())
        assert tls.ping() == b"+PONG\r\n"


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + bound_seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.1)


def test_tls_alone_and_ports_that_move(folder: Path) -> None:
    """`port 0`, and CONFIG SET of `tls-port` under connections."""
    with (
        serve(folder, port="0", unixsocket=str(folder / "socket")) as tls,
        tls.connect() as before,
        _client(tls) as client,
    ):
        assert client.ping()
        assert client.info("server")["tcp_port"] == 0
        new = free_port()
        client.config_set("tls-port", new)
        moved = TlsServer(tls.server, new, folder)
        assert moved.ping() == b"+PONG\r\n"
        with pytest.raises(OSError, match="refused"):
            tls.connect()
        before.sendall(encode_command("PING"))
        assert before.recv(100) == b"+PONG\r\n"


def test_a_start_without_good_files_is_refused(folder: Path, tmp_path: Path) -> None:
    """With a line that names directive and reason."""
    good = folder / "good"
    (tmp_path / "empty.pem").write_text("")
    cases = [
        ({"tls-key-file": str(good / "server.key")}, "tls-cert-file is not set"),
        ({"tls-cert-file": str(good / "server.crt")}, "tls-key-file is not set"),
        (
            {"tls-cert-file": str(tmp_path / "empty.pem"), "tls-key-file": str(good / "server.key")},
            "no certificate in it",
        ),
        (
            {
                "tls-cert-file": str(good / "server.crt"),
                "tls-key-file": str(good / "client.key"),
                "tls-auth-clients": "no",
            },
            "do not go together",
        ),
        (
            {"tls-cert-file": str(good / "server.crt"), "tls-key-file": str(good / "server.key")},
            "neither tls-ca-cert-file nor",
        ),
    ]
    for directives, reason in cases:
        words = [word for name, value in directives.items() for word in (f"--{name}", value)]
        program = [
            *sherd_program().command,
            "--port",
            "0",
            "--metrics-port",
            "0",
            "--tls-port",
            str(free_port()),
            *words,
        ]
        finished = subprocess.run(program, capture_output=True, text=True, timeout=bound_seconds, check=False)
        assert finished.returncode == 1
        assert reason in finished.stderr, (directives, finished.stderr)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which encrypts the key, is not installed")
def test_a_key_with_a_password_is_read(folder: Path, tmp_path: Path) -> None:
    """And a wrong or missing password is told."""
    secret, word = tmp_path / "secret.key", "open sesame"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", folder / "good/server.key", "-out", secret, "-passout", f"pass:{word}"],
        timeout=bound_seconds, check=True,
    )  # fmt: skip
    with serve(folder, tls_key_file=str(secret), tls_key_file_pass=word) as tls:
        assert tls.ping() == b"+PONG\r\n"
        with tls.server.wire() as plain:
            assert b"cannot be decrypted" in plain.call("CONFIG", "SET", "tls-key-file-pass", "wrong").raw
            assert b"tls-key-file-pass is not set" in plain.call("CONFIG", "SET", "tls-key-file-pass", "").raw
        assert tls.ping() == b"+PONG\r\n"


def test_only_what_is_allowed_is_agreed_on(folder: Path) -> None:
    """Versions and ciphers."""
    with (
        serve(folder, tls_protocols="TLSv1.2", tls_ciphers="ECDHE-ECDSA-AES128-GCM-SHA256") as tls,
        tls.connect() as wire,
    ):
        assert (wire.version(), (wire.cipher() or ("",))[0]) == ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")
    with (
        serve(folder, tls_protocols="TLSv1.3", tls_ciphersuites="TLS_CHACHA20_POLY1305_SHA256") as tls,
        tls.connect() as wire,
    ):
        assert (wire.version(), (wire.cipher() or ("",))[0]) == ("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256")


def test_many_handshakes_at_once_hold_up_nobody(folder: Path) -> None:
    """And all of them come through."""
    with serve(folder, shapes[1]) as tls, tls.server.wire() as plain:
        results: list[bytes] = []
        threads = [threading.Thread(target=lambda: results.append(tls.ping())) for _ in range(40)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            assert plain.value("PING") in (b"PONG", "PONG")
        for thread in threads:
            thread.join(bound_seconds)
        assert results == [b"+PONG\r\n"] * 40


def test_what_a_client_leaves_unread_is_limited(folder: Path) -> None:
    """Encrypted or not, it counts towards the limit of its class, which ends it."""
    with serve(folder) as tls, tls.server.wire() as plain, tls.connect() as lazy:
        plain.value("CONFIG", "SET", "client-output-buffer-limit", "normal 10000000 0 0")
        plain.value("SET", "k", b"x" * 1_000_000)
        with contextlib.suppress(OSError):
            for _ in range(200):
                lazy.sendall(encode_command("GET", "k"))
        tls.logged("cut at its output buffer limit")
        assert tls.ping() == b"+PONG\r\n"


def test_the_lines_of_the_documentation_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates, a server, and a client, as docs/tls.md has them."""
    text = (Path(__file__).parents[2] / "docs/tls.md").read_text()
    port = str(free_port())
    shell, _, python, *_ = (
        block.replace("6390", port).replace("\\\n", "") for block in re.findall(r"```\w+\n(.*?)```", text, re.DOTALL)
    )
    make, serve = (line.split()[1:] for line in shell.strip().splitlines())
    program = [sys.executable, "-m", "sherd"]
    subprocess.run([*program, *make], cwd=tmp_path, timeout=bound_seconds, check=True)
    server = subprocess.Popen([*program, *serve, "--metrics-port", "0", "--save", ""], cwd=tmp_path)
    try:
        deadline = time.monotonic() + bound_seconds
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port))):
                break
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.05)
        monkeypatch.chdir(tmp_path)
        names: dict[str, object] = {}
        exec(python, names)
        assert isinstance(names["client"], redis.Redis)
        assert names["client"].ping()
    finally:
        server.terminate()
        server.wait(bound_seconds)


def test_certificates_are_never_overwritten(tmp_path: Path) -> None:
    """And keys are their owner's."""
    made = certificates.make_certificates(tmp_path, ["example.org"])
    assert [path.name for path in made] == ["ca.crt", "ca.key", "server.crt", "server.key", "client.crt", "client.key"]
    assert all((path.stat().st_mode & 0o077 == 0) == (path.suffix == ".key") for path in made)
    before = [path.read_bytes() for path in made]
    with pytest.raises(certificates.CertificateError, match="is there already"):
        certificates.make_certificates(tmp_path, ["example.org"])
    assert [path.read_bytes() for path in made] == before
    with pytest.raises(certificates.CertificateError, match="cannot be made"):
        certificates.make_certificates(tmp_path / "new", ["no host\u00e4"])
