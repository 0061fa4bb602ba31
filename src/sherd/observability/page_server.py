"""A small HTTP server for a few pages: one thread polls all its connections, so that slow clients hold up nobody.

One request a connection, with limits on its size, on the time that it may take and on the number of connections: where
that is reached, the connection that has waited longest without a whole request gives way. Pages that take their time
are made by a second thread, one after the other; all others are answered at once, whatever that thread is doing.

Rejected: `http.server`, which lets a slow client hold a thread for as long as it sends a byte now and then, and any
pool of threads with blocking sockets, which as many slow clients as it has threads keep from everybody else.
"""

from __future__ import annotations

import contextlib
import queue
import re
import selectors
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from sherd.errors import ThreadError
from sherd.log import get_logger
from sherd.record import record
from sherd.threads import start_thread

if TYPE_CHECKING:
    from ssl import SSLContext

    from sherd.observability.page_access import BasicAuth, TlsClient

_log = get_logger()

REQUEST_BYTES_MAX = 8192
REQUEST_SECONDS_MAX = 5.0
# A client that was answered may still be sending; closing at once would take the answer from it.
LINGER_SECONDS_MAX = 1.0
# The process keeps so many descriptors free for other things than its own clients.
CONNECTIONS_MAX = 24
WAITING_PAGES_MAX = 16
ACCEPT_PAUSE_SECONDS = 0.1
STOP_SECONDS_MAX = 0.5
GZIP_BYTES_MIN = 1024
# How often it is told that somebody has a wrong password.
REFUSAL_LOG_SECONDS = 10.0
_GZIP_LEVEL = 1

TEXT = "text/plain; charset=utf-8"
_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip

# Status, content type and body for what a client accepts.
Answer = tuple[int, str, bytes]
Page = Callable[[str], Answer]


@record
class HttpRequest:
    """What is looked at of a request; `path` is without its query."""

    method: str
    path: str
    accept: str
    gzip: bool
    authorization: str = ""


class _Stage(Enum):
    READING = "reading"
    # The second thread makes its page.
    WORKING = "working"
    SENDING = "sending"
    # Answered; what it still sends is thrown away.
    LINGERING = "lingering"


class _Connection:
    """One client. deadline: when it is closed, in monotonic seconds."""

    __slots__ = ("deadline", "output", "received", "socket", "stage")

    def __init__(self, client: socket.socket | TlsClient) -> None:
        self.socket = client
        self.stage = _Stage.READING
        self.deadline = time.monotonic() + REQUEST_SECONDS_MAX
        self.received = b""
        self.output = memoryview(b"")


class PageServer:
    """Serves pages by path on a bound socket, which it owns. `slow` names those that the second thread makes, `free`
    those that are for everybody even where a password is asked for."""

    def __init__(
        self, listener: socket.socket, pages: Mapping[str, Page], slow: AbstractSet[str], free: AbstractSet[str]
    ) -> None:
        self._listener = listener
        self._pages = pages
        self._slow = slow
        self._free = free
        # Replaced as a whole, by another thread.
        self._tls: SSLContext | None = None
        self._password: BasicAuth | None = None
        self._refusal_told = -REFUSAL_LOG_SECONDS
        listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        # In the order of their deadlines, as far as they are in one stage.
        self._connections: OrderedDict[_Connection, None] = OrderedDict()
        self._wanted: queue.Queue[tuple[_Connection, HttpRequest] | None] = queue.Queue(WAITING_PAGES_MAX)
        self._made: deque[tuple[_Connection, bytes]] = deque()
        self._waker, self._wake = socket.socketpair()
        self._stopping = threading.Event()
        self._poller: threading.Thread | None = None
        self._worker: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port in use."""
        port: int = self._listener.getsockname()[1]
        return port

    def protect(self, tls: SSLContext | None, password: BasicAuth | None) -> None:
        """Have new connections speak TLS, or not, and requests from now on bring a password, or not."""
        self._tls, self._password = tls, password
        self._ring()

    def start(self) -> None:
        """Serve in threads of its own; that of the slow pages is there when the first is asked for."""
        self._poller = start_thread(self._run, "sherd-metrics")

    def stop(self, *, wait: bool = True) -> None:
        """Close every socket and end the threads; idempotent. Without `wait` a page in the making ends by itself."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._ring()
        with contextlib.suppress(queue.Full):
            self._wanted.put_nowait(None)
        started = [thread for thread in (self._poller, self._worker) if thread is not None and thread.is_alive()]
        if not started:
            self._close_all()
        for thread in started if wait else started[:1]:
            thread.join(STOP_SECONDS_MAX)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b"x")

    # ---- the thread that polls

    def _run(self) -> None:
        self._name()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._waker, selectors.EVENT_READ)
        try:
            while not self._stopping.is_set():
                self._round()
        finally:
            self._close_all()

    def _name(self) -> None:
        _name_thread(f"metrics-{self.port}{'s' if self._tls else ''}")

    def _round(self) -> None:
        for key, _ in self._selector.select(self._seconds_to_wait()):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._waker:
                with contextlib.suppress(OSError):
                    self._waker.recv(4096)
                self._name()
            else:
                self._guarded(self._advance, key.data)
        while self._made:
            connection, response = self._made.popleft()
            if connection in self._connections:
                self._guarded(self._respond, connection, response)
        self._close_overdue()

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        return max(0.0, min((one.deadline - now for one in self._connections), default=3600.0))

    def _guarded(self, work: Callable[..., None], connection: _Connection, *more: bytes) -> None:
        try:
            work(connection, *more)
        except OSError:  # the client has gone
            self._close(connection)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # out of descriptors for a moment
            self._stopping.wait(ACCEPT_PAUSE_SECONDS)
            return
        client.setblocking(False)
        if len(self._connections) >= CONNECTIONS_MAX:
            self._make_room()
        tls = self._tls
        try:
            connection = _Connection(_encrypted(client, tls) if tls else client)
        except OSError:  # it has gone already
            client.close()
            return
        self._connections[connection] = None
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._guarded(self._advance, connection)

    def _make_room(self) -> None:
        """Close the oldest connection of those that are worth least."""
        for stage in (_Stage.LINGERING, _Stage.READING, _Stage.SENDING, _Stage.WORKING):
            for connection in self._connections:
                if connection.stage is stage:
                    self._close(connection)
                    return

    def _advance(self, connection: _Connection) -> None:
        if connection.stage is _Stage.SENDING:
            self._send(connection)
            return
        while True:
            try:
                received = connection.socket.recv(REQUEST_BYTES_MAX)
            except BlockingIOError:
                return
            if not received:
                self._close(connection)
                return
            if connection.stage is _Stage.READING:
                connection.received += received
                if b"\r\n\r\n" in connection.received:
                    self._answer(connection, parse_request(connection.received))
                    return
                if len(connection.received) > REQUEST_BYTES_MAX:
                    self._answer(connection, None)
                    return
            # A record of TLS may be longer than what was asked for.
            if isinstance(connection.socket, socket.socket) or not connection.socket.pending():
                return

    def _answer(self, connection: _Connection, request: HttpRequest | None) -> None:
        if request is None:
            self._respond(connection, encode_response((400, TEXT, b"bad request\n")))
        elif not self._admits(connection, request):
            self._respond(connection, encode_response((401, TEXT, b"a name and a password are asked for\n")))
        elif request.path in self._slow and request.method in ("GET", "HEAD"):
            connection.stage = _Stage.WORKING
            # The answer has its own time; until then nothing that the client sends is of interest.
            connection.deadline = time.monotonic() + 2 * REQUEST_SECONDS_MAX
            self._selector.unregister(connection.socket)
            try:
                if self._worker is None:
                    self._worker = start_thread(self._work, "sherd-metrics-page")
                self._wanted.put_nowait((connection, request))
            except queue.Full:
                self._respond(connection, encode_response((503, TEXT, b"too many scrapes at once\n")))
            except ThreadError as error:
                self._respond(connection, encode_response((503, TEXT, f"{error}\n".encode())))
        else:
            self._respond(connection, self._make(request))

    def _admits(self, connection: _Connection, request: HttpRequest) -> bool:
        password = self._password
        if password is None or request.path in self._free or password.admits(request.authorization):
            return True
        now = time.monotonic()
        if request.authorization and now - self._refusal_told >= REFUSAL_LOG_SECONDS:
            self._refusal_told = now
            _log.warning("somebody has a wrong password for the metrics page", client=connection.socket.getpeername())
        return False

    def _respond(self, connection: _Connection, response: bytes) -> None:
        watched = connection.stage is not _Stage.WORKING
        connection.stage = _Stage.SENDING
        connection.deadline = time.monotonic() + REQUEST_SECONDS_MAX
        connection.output = memoryview(response)
        if watched:
            self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        else:
            self._selector.register(connection.socket, selectors.EVENT_WRITE, connection)
        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.output)
        except BlockingIOError:
            return
        connection.output = connection.output[sent:]
        if not connection.output:
            connection.stage = _Stage.LINGERING
            connection.deadline = time.monotonic() + LINGER_SECONDS_MAX
            connection.socket.shutdown(socket.SHUT_WR)
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)

    def _close_overdue(self) -> None:
        now = time.monotonic()
        for connection in [one for one in self._connections if one.deadline <= now]:
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        if self._connections.pop(connection, self) is self:
            return
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        connection.socket.close()

    def _close_all(self) -> None:
        for connection in list(self._connections):
            self._close(connection)
        for closed in (self._listener, self._waker, self._wake, self._selector):
            closed.close()

    # ---- pages

    def _work(self) -> None:
        while not self._stopping.is_set():
            wanted = self._wanted.get()
            if wanted is None:
                return
            connection, request = wanted
            self._made.append((connection, self._make(request)))
            self._ring()

    def _make(self, request: HttpRequest) -> bytes:
        page = self._pages.get(request.path)
        if page is None:
            answer: Answer = (404, TEXT, f"not found: try {', '.join(self._pages)}\n".encode())
        elif request.method not in ("GET", "HEAD"):
            answer = (405, TEXT, b"only GET\n")
        else:
            try:
                answer = page(request.accept)
            except Exception:  # noqa: BLE001 - a scrape that fails must not end the page
                _log.exception("the metrics page failed", path=request.path)
                answer = (500, TEXT, b"see the server's log\n")
        return encode_response(answer, compress=request.gzip, head_only=request.method == "HEAD")


def _encrypted(client: socket.socket, context: SSLContext) -> TlsClient:
    from sherd.observability.page_access import TlsClient

    return TlsClient(client, context)


def _name_thread(name: str) -> None:
    """The system's name of the calling thread: a container's health check finds the port by it (`deploy/`)."""
    with contextlib.suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name, encoding="ascii")


def parse_request(data: bytes) -> HttpRequest | None:
    """The request at the beginning of `data`; None for what is none."""
    first, *headers = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    return HttpRequest(
        words[0],
        words[1].partition("?")[0],
        _header(headers, "accept"),
        _takes_gzip(_header(headers, "accept-encoding")),
        _header(headers, "authorization"),
    )


def _header(lines: list[str], name: str) -> str:
    pairs = (line.partition(":") for line in lines)
    return ", ".join(value.strip() for found, _, value in pairs if found.strip().lower() == name)


def _takes_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = (part.strip() for part in offer.partition(";"))
        if coding in ("gzip", "x-gzip", "*"):
            return re.fullmatch(r"q\s*=\s*0(\.0*)?", weight) is None
    return False


def encode_response(answer: Answer, *, compress: bool = False, head_only: bool = False) -> bytes:
    """The bytes of a response; a long body is compressed for who takes that."""
    status, content_type, body = answer
    more = ""
    if compress and len(body) >= GZIP_BYTES_MIN:
        import gzip  # with the first scrape

        body, more = gzip.compress(body, _GZIP_LEVEL), "Content-Encoding: gzip\r\n"
    if status == 401:
        more += 'WWW-Authenticate: Basic realm="sherd", charset="UTF-8"\r\n'
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"{more}Vary: Accept, Accept-Encoding\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    ).encode()
    return head if head_only else head + body
