"""Who may see the pages: TLS for the page server's connections, and a name with a password (basic authentication).

Imported only where either is asked for, since both bring OpenSSL with them (`later.py`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from sherd.errors import SherdError

if TYPE_CHECKING:
    from sherd.config import Config


class PageTlsError(SherdError):
    """The page cannot speak TLS; one line for the operator."""


def server_context(config: Config) -> ssl.SSLContext:
    """The server's side of TLS, with the certificate and the versions that clients of the data get."""
    certificate, key = config.get_str("tls-cert-file"), config.get_str("tls-key-file")
    password = config.get_str("tls-key-file-pass")
    for name, path in (("tls-cert-file", certificate), ("tls-key-file", key)):
        if not path:
            raise PageTlsError(f"metrics-tls wants a certificate: {name} is not set")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    protocols = config.get_str("tls-protocols").lower().replace(",", " ").split()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocols and "tlsv1.2" not in protocols:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if protocols and "tlsv1.3" not in protocols:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PageTlsError(f"metrics-tls: {certificate} and {key} cannot be used: {reason}") from error
    return context


class TlsClient:
    """A client's socket with TLS over it, used as one that does not block. The handshake comes with the first read.

    What the session has to write while it reads is short, and its socket is empty then; a client with which that is
    not so is one that takes too long.
    """

    def __init__(self, client: socket.socket, context: ssl.SSLContext) -> None:
        self._tls = context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)

    def fileno(self) -> int:
        """The descriptor, for polling."""
        return self._tls.fileno()

    def recv(self, size: int) -> bytes:
        """What has come; BlockingIOError if there is nothing now."""
        try:
            return self._tls.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def pending(self) -> int:
        """Bytes that have come and no poll will tell of."""
        return self._tls.pending()

    def send(self, data: memoryview) -> int:
        """Send what the socket takes; BlockingIOError if that is nothing now."""
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """Say that nothing follows."""
        with suppress(OSError, ValueError):
            # It is said at once, and the client's answer is not waited for.
            self._tls.unwrap()
        self._tls.shutdown(how)

    def getpeername(self) -> object:
        """The client's address."""
        return self._tls.getpeername()

    def close(self) -> None:
        """Close the socket."""
        self._tls.close()


class BasicAuth:
    """A name and a password, as a digest. How long a comparison takes does not depend on what was wrong."""

    def __init__(self, user: str, password: str) -> None:
        self._digest = hashlib.sha256(f"{user}:{password}".encode("utf-8", "surrogateescape")).digest()

    def admits(self, authorization: str) -> bool:
        """Whether the header of a request has them."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded.strip().encode("latin-1"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            given = b""
        is_right = hmac.compare_digest(hashlib.sha256(given).digest(), self._digest)
        return is_right and scheme.lower() == "basic"
