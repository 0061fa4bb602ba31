"""Links over TLS: Sherd follows and is followed over it, by other Sherds and by the references, and who is no good is told."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from sherd.certificates import make_certificates
from tests.protocol.test_limits import info_field
from tests.replication.proxy import Proxy
from tests.replication.support import (
    SHAPE_NAMES,
    SHAPES,
    Writer,
    await_equal,
    await_link,
    eventually,
    fill,
    write_some,
)
from tests.support.references import need_reference
from tests.support.servers import Server, Shape, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers import Program
    from tests.support.wire import Wire

pytestmark = pytest.mark.sherd_only


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of one authority (`good`), of another one, and some that have expired."""
    place = tmp_path_factory.mktemp("links")
    make_certificates(place / "good", ["node.example"])
    make_certificates(place / "other", ["node.example"])
    make_certificates(place / "expired", ["node.example"], days=-1)
    return place


def cut_and_go_on(primary: Server, ours: Wire, proxy: Proxy, theirs: Wire) -> None:
    """Cuts the link once while writes go on; it comes back without a second snapshot, and nothing is lost."""
    await_link(theirs)
    with Writer(primary) as writer:
        connections = proxy.connections
        eventually(lambda: writer.written > 10, "writes go on")
        proxy.cut()
        eventually(lambda: proxy.connections > connections, "it is back")
        await_link(theirs)
    await_equal(ours, theirs)
    assert info_field(ours, "stats", "sync_full") == "1"
    assert info_field(ours, "stats", "sync_partial_ok") == "1"


def server_with_tls(
    folder: Path, program: Program | None = None, *, shape: Shape | None = None, follows: int = 0, **more: str
) -> Server:
    """A server with a port for TLS, which follows the TLS port of another one if it is told to."""
    good = folder / "good"
    directives = {
        "enable-debug-command": "yes", "repl-diskless-sync-delay": "0", "tls-port": str(free_port()),
        "tls-cert-file": str(good / "server.crt"), "tls-key-file": str(good / "server.key"),
        "tls-ca-cert-file": str(good / "ca.crt"), "tls-replication": "yes",
        **({"replicaof": f"127.0.0.1 {follows}"} if follows else {}),
        # The backlog holds what a quick writer writes while a replica lets a second go by before it comes back.
        **({} if program is None else {"maxclients": "400", "repl-backlog-size": "64mb"}),
        **{name.replace("_", "-"): value for name, value in more.items()},
    }  # fmt: skip
    return Server(program, shape=shape, directives=directives)


def tls_port(server: Server) -> int:
    """Where clients that speak TLS connect."""
    return int(server.directives["tls-port"])


def logged(server: Server, text: str) -> None:
    """Waits until the log has a text."""
    eventually(lambda: text in server.log(), f"{text!r} is in the log")


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_sherd_follows_sherd(folder: Path, shape: Shape) -> None:
    """All data, what is written during the snapshot and after it, and on from where a lost link was."""
    with server_with_tls(folder, shape=shape) as primary, primary.wire() as ours:
        fill(ours)
        with (
            Proxy(("127.0.0.1", tls_port(primary))) as proxy,
            server_with_tls(folder, follows=proxy.port) as replica,
            replica.wire() as theirs,
        ):
            with Writer(primary) as writer:
                await_link(theirs)
                for _ in range(2):
                    seen, connections = writer.written, proxy.connections
                    eventually(lambda seen=seen: writer.written > seen + 10, "writes go on")  # type: ignore[misc]
                    proxy.cut()
                    eventually(lambda connections=connections: proxy.connections > connections, "it is back")  # type: ignore[misc]
                    await_link(theirs)
            await_equal(ours, theirs)
            assert info_field(ours, "stats", "sync_full") == "1"
            assert int(info_field(ours, "stats", "sync_partial_ok")) >= 2
            # It has said where it is reached by TLS.
            assert ours.value("ROLE")[2][0][1] == str(tls_port(replica)).encode()
            assert ours.value("WAIT", "1", "10000") == 1


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_sherd_follows_real_servers(folder: Path, reference_name: str, shape: Shape) -> None:
    """By their TLS ports."""
    program = need_reference(reference_name)
    with server_with_tls(folder, program) as primary, primary.wire() as ours:
        fill(ours)
        with (
            Proxy(("127.0.0.1", tls_port(primary))) as proxy,
            server_with_tls(folder, shape=shape, follows=proxy.port) as replica,
            replica.wire() as theirs,
        ):
            cut_and_go_on(primary, ours, proxy, theirs)


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_real_servers_follow_sherd(folder: Path, reference_name: str, shape: Shape) -> None:
    """By its TLS port."""
    program = need_reference(reference_name)
    with server_with_tls(folder, shape=shape) as primary, primary.wire() as ours:
        fill(ours)
        with (
            Proxy(("127.0.0.1", tls_port(primary))) as proxy,
            server_with_tls(folder, program, follows=proxy.port) as replica,
            replica.wire() as theirs,
        ):
            cut_and_go_on(primary, ours, proxy, theirs)


def test_links_that_are_cut_at_random_bytes_lose_nothing(folder: Path) -> None:
    """In the middle of handshakes, records, snapshots and commands."""
    with server_with_tls(folder, shape=Shape(4, 2)) as primary, primary.wire() as ours:
        fill(ours)
        with (
            Proxy(("127.0.0.1", tls_port(primary)), (500, 60_000), seed=7) as proxy,
            server_with_tls(folder, shape=Shape(2, 1), follows=proxy.port) as replica,
            replica.wire() as theirs,
        ):
            with Writer(primary):
                eventually(lambda: proxy.cuts >= 5, "the link is cut again and again")
            proxy.cut_after = None
            proxy.cut()
            await_link(theirs)
            await_equal(ours, theirs)


def test_a_replica_that_does_not_read_for_a_while_gets_everything_later(folder: Path) -> None:
    """Far more than the sockets between the two take."""
    with (
        server_with_tls(folder, repl_backlog_size="200mb") as primary,
        primary.wire() as ours,
        server_with_tls(folder, follows=tls_port(primary)) as replica,
        replica.wire() as theirs,
    ):
        await_link(theirs)
        assert replica.process is not None
        replica.process.send_signal(signal.SIGSTOP)
        try:
            for number in range(30):
                ours.call("SET", f"large:{number}", "x" * 1_000_000)
        finally:
            replica.process.send_signal(signal.SIGCONT)
        await_equal(ours, theirs)
        assert info_field(ours, "stats", "sync_full") == "1"


def test_the_parts_are_exchanged_by_failover(folder: Path) -> None:
    """Each is the client of the other in turn."""
    with (
        server_with_tls(folder) as first,
        first.wire() as ours,
        server_with_tls(folder, follows=tls_port(first)) as second,
        second.wire() as theirs,
    ):
        fill(ours)
        await_link(theirs)
        assert ours.value("FAILOVER") in (b"OK", "OK")
        eventually(lambda: info_field(ours, "replication", "role") == "slave", "it follows")
        await_link(ours)
        for number in range(20):
            write_some(theirs, number)
        await_equal(theirs, ours)
        assert info_field(theirs, "stats", "sync_full") == "0"


def test_a_certificate_of_its_own_is_shown_to_primaries(folder: Path) -> None:
    """`tls-client-cert-file`; a primary that asks for none is followed without."""
    good = folder / "good"
    client = {"tls_client_cert_file": str(good / "client.crt"), "tls_client_key_file": str(good / "client.key")}
    other = {"tls_cert_file": str(folder / "other/server.crt"), "tls_key_file": str(folder / "other/server.key")}
    with server_with_tls(folder) as primary:
        # The primary would not accept the certificate that clients are shown.
        with (
            server_with_tls(folder, follows=tls_port(primary), **client, **other) as replica,
            replica.wire() as wire,
        ):
            await_link(wire)
        with server_with_tls(folder, follows=tls_port(primary), **other) as replica:
            logged(replica, "the link to the primary is down")
            logged(primary, "the client's certificate is not signed by an authority")
    nothing = {"tls_port": "0", "tls_cert_file": "", "tls_key_file": ""}
    with (
        server_with_tls(folder, tls_auth_clients="no") as primary,
        server_with_tls(folder, follows=tls_port(primary), **nothing) as replica,
        replica.wire() as wire,
    ):
        await_link(wire)


@pytest.mark.parametrize(
    ("authority", "line"),
    [
        ("other", "the server's certificate is not signed by an authority"),
        ("expired", "the server's certificate has expired"),
    ],
)
def test_a_primary_without_a_good_certificate_is_not_followed(folder: Path, authority: str, line: str) -> None:
    """The log says why; with a good one the link comes up by itself."""
    bad, good = folder / authority, folder / "good"
    both = folder / "both.crt"
    both.write_bytes((good / "ca.crt").read_bytes() + (folder / "expired/ca.crt").read_bytes())
    certificate = {"tls_cert_file": str(bad / "server.crt"), "tls_key_file": str(bad / "server.key")}
    with (
        server_with_tls(folder, **certificate) as primary,
        primary.wire() as ours,
        server_with_tls(folder, follows=tls_port(primary), tls_ca_cert_file=str(both)) as replica,
        replica.wire() as theirs,
    ):
        ours.call("SET", "k", "v")
        logged(replica, line)
        assert info_field(theirs, "replication", "master_link_status") == "down"
        assert theirs.value("DBSIZE") == 0
        words = ("tls-cert-file", str(good / "server.crt"), "tls-key-file", str(good / "server.key"))
        assert ours.call("CONFIG", "SET", *words).raw == b"+OK\r\n"
        await_link(theirs)
        await_equal(ours, theirs)


def test_who_speaks_no_tls_is_not_followed_over_it_nor_the_other_way_round(folder: Path) -> None:
    """`tls-replication` changes while the server runs, and counts for the next link."""
    with (
        server_with_tls(folder) as primary,
        primary.wire() as ours,
        server_with_tls(folder, follows=primary.port) as replica,
        replica.wire() as theirs,
    ):
        fill(ours)
        logged(replica, "what came is no TLS")
        assert theirs.call("CONFIG", "SET", "tls-replication", "no").raw == b"+OK\r\n"
        await_link(theirs)
        await_equal(ours, theirs)
        # The link that there is goes on.
        assert theirs.call("CONFIG", "SET", "tls-replication", "yes").raw == b"+OK\r\n"
        ours.call("SET", "more", "1")
        await_equal(ours, theirs)
        theirs.call("REPLICAOF", "127.0.0.1", str(tls_port(primary)))
        await_link(theirs)
        await_equal(ours, theirs)
        theirs.call("CONFIG", "SET", "tls-replication", "no")
        theirs.call("REPLICAOF", "NO", "ONE")
        theirs.call("REPLICAOF", "127.0.0.1", str(tls_port(primary)))
        logged(primary, "what came is no TLS")


def test_links_want_authorities_that_say_which_primary_is_good(folder: Path) -> None:
    """Without any, a start and CONFIG SET are refused."""
    with Server() as server, server.wire() as wire:
        refusal = wire.call("CONFIG", "SET", "tls-replication", "yes")
        assert refusal.is_error
        assert b"tls-replication asks for certificates" in refusal.raw
        assert wire.value("CONFIG", "GET", "tls-replication") == [b"tls-replication", b"no"]
        words = ("tls-replication", "yes", "tls-ca-cert-file", str(folder / "good/ca.crt"))
        assert wire.call("CONFIG", "SET", *words).raw == b"+OK\r\n"
        refusal = wire.call("CONFIG", "SET", "tls-client-cert-file", str(folder / "good/client.crt"))
        assert b"tls-client-key-file is not set" in refusal.raw


def test_backup_tools_get_a_snapshot_over_tls(folder: Path, tmp_path: Path) -> None:
    """`redis-cli --rdb`, which says that it wants nothing but that."""
    program = next((path for path in ("/opt/ref/bin/redis-cli", shutil.which("redis-cli")) if path), "")
    shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=False) if program else None
    if shown is None or "--cacert" not in shown.stdout + shown.stderr:
        pytest.skip("no redis-cli with TLS on this machine")
    good = folder / "good"
    with server_with_tls(folder) as primary, primary.wire() as ours:
        fill(ours)
        finished = subprocess.run(
            [program, "--tls", "-p", str(tls_port(primary)), "--cacert", good / "ca.crt", "--cert",
             good / "client.crt", "--key", good / "client.key", "--rdb", tmp_path / "copy.rdb"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert finished.returncode == 0, finished.stderr
        assert (tmp_path / "copy.rdb").read_bytes()[:5] == b"REDIS"
