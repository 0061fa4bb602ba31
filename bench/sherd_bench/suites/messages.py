"""The messages suite: what a published message costs the server for each client that gets it.

One publisher waits for the answers to a few messages before it sends the next; a thread takes what the subscribers are
sent. Counted is the CPU of the server's process, so it does not matter that Python receives slowly.
"""

import selectors
import socket
import threading
from statistics import median

from sherd_bench.document import Findings
from sherd_bench.servers import RunningServer
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.tables import Table, number

MESSAGE = b"x" * 64
# Subscribers, messages, and messages before an answer is waited for.
SHAPES = ((1, 40_000, 1), (1, 200_000, 50), (100, 4_000, 1), (100, 10_000, 50), (1000, 1_000, 10))
QUICK_DIVISOR = 20
RECEIVE_BYTES = 1 << 18
SILENCE_SECONDS_MAX = 60.0


def run(session: Session) -> Findings:
    """Server CPU a delivered message, by the number of subscribers."""
    tables = []
    for pin in session.parameters.pins or (Pin.NONE,):
        with session.running(pin=pin) as servers:
            table = Table(
                f"Server CPU a delivered message, {pin.describe()}, microseconds",
                ["subscribers", "pipeline", *(server.label for server in servers)],
            )
            for subscribers, messages, pipeline in SHAPES:
                count = max(pipeline, session.parameters.scaled(messages, messages // QUICK_DIVISOR))
                costs: dict[str, list[float]] = {server.label: [] for server in servers}
                for turn in range(session.parameters.rounds):
                    for server in rotated(servers, turn):
                        costs[server.label].append(_cost(server, subscribers, count // pipeline, pipeline))
                row = [str(subscribers), str(pipeline), *(number(median(each)) for each in costs.values())]
                table.rows.append(row)
                session.log(" ".join(row))
            tables.append(table)
    method = (
        f"Messages of {len(MESSAGE)} bytes to one channel, one publisher, each subscriber on a connection of its own; "
        "CPU of the whole process, the median of the rounds."
    )
    return Findings("Messages to subscribers", method, tables)


def _encoded(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _connect(server: RunningServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=SILENCE_SECONDS_MAX)


def _cost(server: RunningServer, subscribers: int, rounds: int, pipeline: int) -> float:
    """Microseconds of the server's CPU a delivered message."""
    listeners = [_connect(server) for _ in range(subscribers)]
    for listener in listeners:
        listener.sendall(_encoded(b"SUBSCRIBE", b"c"))
        listener.recv(RECEIVE_BYTES)
        listener.setblocking(False)
    delivered = rounds * pipeline * subscribers
    receiver = threading.Thread(
        target=_receive, args=(listeners, delivered * len(_encoded(b"message", b"c", MESSAGE))), daemon=True
    )
    receiver.start()
    before = server.cpu_seconds()
    with _connect(server) as publisher:
        request, answer = _encoded(b"PUBLISH", b"c", MESSAGE) * pipeline, b":%d\r\n" % subscribers * pipeline
        for _ in range(rounds):
            publisher.sendall(request)
            missing = len(answer)
            while missing:
                missing -= len(publisher.recv(missing))
    receiver.join()
    spent = server.cpu_seconds() - before
    for listener in listeners:
        listener.close()
    server.settle()
    return spent / delivered * 1e6


def _receive(listeners: list[socket.socket], expected_bytes: int) -> None:
    """Takes so many bytes from all together."""
    with selectors.DefaultSelector() as selector:
        for listener in listeners:
            selector.register(listener, selectors.EVENT_READ, listener)
        while expected_bytes > 0:
            ready = selector.select(SILENCE_SECONDS_MAX)
            if not ready:
                raise TimeoutError("messages are missing")
            for key, _ in ready:
                expected_bytes -= len(key.data.recv(RECEIVE_BYTES))
