"""Users who are known by their certificates (`tls-auth-clients-user`), as Valkey 9.1 has them, which is asked as well."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sherd.certificates import make_certificates
from tests.support.references import need_reference
from tests.support.servers import Server, Shape, free_port, sherd_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.servers import Program

pytestmark = [
    pytest.mark.sherd_only,
    pytest.mark.skipif(
        shutil.which("openssl") is None, reason="openssl, which signs the certificates, is not installed"
    ),
]

bound_seconds = 60
# Certificates by their files' names: common name and other names.
subjects = {
    "anna": ("anna", ""),
    "nobody": ("nobody", ""),
    "none": ("", "DNS:anna"),
    "uris": ("anna", "URI:sherd://users/missing,URI:sherd://users/bert,URI:sherd://users/carla"),
    "lost": ("anna", "URI:sherd://users/missing,URI:sherd://users/gone"),
}


def _sign(folder: Path, name: str, subject: str, others: str) -> None:
    """A key and a certificate of the folder's authority."""
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    line = "extendedKeyUsage=clientAuth\n" + (f"subjectAltName={others}\n" if others else "")
    extensions.write_text(line)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / f"{name}.key"]
    subject = f"/CN={subject}" if subject else "/O=nobody in particular"
    for words in (
        ["openssl", "req", "-new", *key, "-subj", subject, "-out", request],
        ["openssl", "x509", "-req", "-in", request, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-days", "2",
         "-set_serial", str(len(name) + 1000), "-extfile", extensions, "-out", folder / f"{name}.crt"],
    ):  # fmt: skip
        subprocess.run(words, capture_output=True, timeout=bound_seconds, check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of a server and of all subjects."""
    place = tmp_path_factory.mktemp("users") / "tls"
    make_certificates(place, ["localhost", "127.0.0.1"])
    for name, (subject, others) in subjects.items():
        _sign(place, name, subject, others)
    return place


class Served:
    """A server, and connections to it with and without certificates."""

    def __init__(self, folder: Path, program: Program | None, shape: Shape | None = None) -> None:
        self.folder, self.port = folder, free_port()
        directives = {
            "tls-port": str(self.port), "tls-cert-file": str(folder / "server.crt"),
            "tls-key-file": str(folder / "server.key"), "tls-ca-cert-file": str(folder / "ca.crt"),
            "tls-auth-clients": "optional",
        }  # fmt: skip
        self.server = Server(program or sherd_program(), shape=shape, directives=directives)
        self.admin = redis.Redis(port=self.server.port, decode_responses=True)

    def client(self, name: str | None, **options: object) -> redis.Redis:
        """A client with a certificate, or without one; it has one connection."""
        files = {} if name is None else {
            "ssl_certfile": str(self.folder / f"{name}.crt"), "ssl_keyfile": str(self.folder / f"{name}.key"),
        }  # fmt: skip
        return redis.Redis(
            port=self.port, ssl=True, ssl_ca_certs=str(self.folder / "ca.crt"), decode_responses=True,
            single_connection_client=True, retry=Retry(NoBackoff(), 0), **files, **options,
        )  # type: ignore[call-overload,no-any-return]  # fmt: skip

    def whoami(self, name: str | None) -> str:
        """Who a client with a certificate is."""
        with self.client(name) as client:
            found: str = client.acl_whoami()
            return found

    def denied(self) -> int:
        """How many certificates have named nobody."""
        return int(self.admin.info("stats")["acl_access_denied_tls_cert"])

    def close(self) -> None:
        """Stops the server."""
        self.admin.close()
        self.server.stop()


@pytest.fixture(params=["1 shard", "4 shards", "valkey9"])
def served(request: pytest.FixtureRequest, folder: Path) -> Iterator[Served]:
    """Sherd in two shapes, and Valkey, which does all of this as well."""
    program = need_reference("valkey9") if request.param == "valkey9" else None
    one = Served(folder, program, Shape(4, 2) if request.param == "4 shards" else Shape(1, 1))
    one.admin.config_set("tls-auth-clients-user", "CN")
    one.admin.execute_command("ACL SETUSER anna on >secret ~anna:* +@all")
    yield one
    one.close()


def test_a_client_is_the_user_whom_its_certificate_names(served: Served) -> None:
    """From its first command on, with that user's rights and no more."""
    assert served.whoami("anna") == "anna"
    assert served.whoami(None) == "default"
    with served.client("anna") as client:
        assert client.set("anna:1", "x")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.set("other", "x")
        (row,) = [row for row in client.client_list() if row["user"] == "anna"]
        assert row["user"] == "anna"
    assert served.denied() == 0


@pytest.mark.parametrize("field", ["off", "CN", "URI"])
def test_the_directive_says_where_the_name_is(served: Served, field: str) -> None:
    """In any case, and as written in the answer."""
    served.admin.config_set("tls-auth-clients-user", field.lower())
    assert served.admin.config_get("tls-auth-clients-user") == {"tls-auth-clients-user": field}
    served.admin.execute_command("ACL SETUSER sherd://users/bert on >secret ~* +@all")
    expected = {"off": "default", "CN": "anna", "URI": "sherd://users/bert"}[field]
    assert served.whoami("uris") == expected


def test_a_user_that_is_not_there_or_off_is_nobody(served: Served) -> None:
    """The client is what it would be without a certificate, which is logged and counted, and may log in."""
    served.admin.execute_command("ACL SETUSER nobody off >secret ~* +@all")
    served.admin.execute_command("ACL LOG RESET")
    for denied in (1, 2):
        with served.client("nobody") as client:
            assert client.acl_whoami() == "default"
            assert served.denied() == denied
            client.auth(username="anna", password="secret")
            assert client.acl_whoami() == "anna"
        served.admin.execute_command("ACL DELUSER nobody")
    (entry,) = served.admin.acl_log()
    assert (entry["reason"], entry["username"], entry["context"]) == ("tls-cert", "nobody", "toplevel")
    assert entry["object"] == ""


def test_a_certificate_without_a_name_is_no_matter(served: Served) -> None:
    """Nothing is logged either."""
    assert served.whoami("none") == "default"
    assert served.denied() == 0


def test_several_uris_are_tried_in_their_order(served: Served) -> None:
    """The first that is a user who is on counts."""
    served.admin.config_set("tls-auth-clients-user", "URI")
    for name, state in (("bert", "off"), ("carla", "on")):
        served.admin.execute_command(f"ACL SETUSER sherd://users/{name} {state} >secret ~* +@all")
    assert served.whoami("uris") == "sherd://users/carla"
    assert served.whoami("lost") == "default"
    assert served.denied() == 1


def test_a_certificate_stands_for_a_password(served: Served) -> None:
    """Where the default user has one, and until RESET."""
    served.admin.config_set("requirepass", "hidden")
    served.admin.execute_command("AUTH hidden")
    with served.client("anna") as client:
        assert client.acl_whoami() == "anna"
        assert client.execute_command("RESET") == "RESET"
        with pytest.raises(redis.exceptions.AuthenticationError):
            client.acl_whoami()
    with pytest.raises(redis.exceptions.AuthenticationError), served.client("nobody") as client:
        client.acl_whoami()


def test_a_user_that_is_deleted_loses_its_connections(served: Served) -> None:
    """As one that has logged in does."""
    with served.client("anna") as client:
        assert client.acl_whoami() == "anna"
        served.admin.execute_command("ACL DELUSER anna")
        with pytest.raises(redis.exceptions.ConnectionError):
            client.execute_command("PING")


def test_a_resumed_session_is_the_same_user(folder: Path) -> None:
    """Although its certificate is not shown again."""
    one = Served(folder, None)
    try:
        one.admin.config_set("tls-auth-clients-user", "CN")
        one.admin.execute_command("ACL SETUSER anna on >secret ~* +@all")
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        context.load_cert_chain(folder / "anna.crt", folder / "anna.key")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        session: ssl.SSLSession | None = None
        for number in range(3):
            plain = socket.create_connection(("127.0.0.1", one.port), timeout=bound_seconds)
            with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as wire:
                wire.sendall(b"ACL WHOAMI\r\n")
                assert wire.recv(100) == b"$4\r\nanna\r\n"
                assert wire.session_reused == (number > 0)
                session = wire.session
    finally:
        one.close()
