"""The messages suite: what a published message costs the server for each client that gets it, and when the last has it.

One publisher waits for the answers to a few messages before it sends the next; a process of their own takes what the
subscribers are sent, so that the publisher goes on when it has its answer. Counted is the CPU of the server's process,
so it does not matter that Python receives slowly. When a message has reached a subscriber the kernel says, which stamps
what arrives: so that does not depend on Python either.

Nearly all of a message to many is the system call that sends it. A process that does nothing but send the same bytes to
as many sockets shows how much: no server that sends to each of them can take less.
"""

import multiprocessing
import resource
import select
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from statistics import median

from sherd_bench import procfs
from sherd_bench.document import Findings
from sherd_bench.servers import RunningServer
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.suites.grid import measure
from sherd_bench.tables import Table, number
from sherd_bench.workloads import Workload

MESSAGE = b"x" * 64
# Subscribers, messages, and messages before an answer is waited for.
SHAPES = ((1, 40_000, 1), (1, 200_000, 50), (100, 4_000, 1), (100, 10_000, 50), (1000, 4_000, 10))
QUICK_DIVISOR = 20
RECEIVE_BYTES = 1 << 18
SILENCE_SECONDS_MAX = 60.0
# In which a message has surely reached everybody.
DELIVERY_SECONDS = 0.02


# Who publishes where nobody listens; always in this depth.
UNHEARD = Workload("PUBLISH", "PUBLISH c __data__")
UNHEARD_PIPELINE = 16
# Subscriptions whose memory is measured: channels of one subscriber each, over so many connections.
CHANNELS = 100_000
CONNECTIONS = 10
CHANNELS_AT_ONCE = 100
CHANNEL_BYTES = 16
REST_SECONDS = 1.5
# Messages that all of so many subscribers get, one after the other.
LISTENERS = 1000
DELAYS = 500
# Readers on the same server meanwhile: messages a second to all of those, readers, and their requests a second.
BESIDE_SECONDS = 8.0
BESIDE_QUICK_SECONDS = 1.5
MESSAGES_A_SECOND = 40
READERS = 8
READS_A_SECOND = 2000
# Since Linux 4.17 a TCP socket tells with what it reads when the last byte of that had come.
SO_TIMESTAMPNS = 35


def run(session: Session) -> Findings:
    """CPU a delivered message and a message to nobody, memory a subscription, and the delay to the last subscriber."""
    tables = []
    pins = session.parameters.pins or (Pin.NONE,)
    for pin in pins:
        with session.running(pin=pin) as servers:
            tables.append(_in_turns(session, servers, pin, _COSTS))
            tables.append(_unheard(session, servers, pin))
            tables.append(_in_turns(session, servers, pin, _DELAY))
            tables.append(_in_turns(session, servers, pin, _BESIDE))
    if Pin.APART not in pins:
        # As in the other suites: where server and generator share the cores, it depends on who wakes whom.
        with session.running(pin=Pin.APART) as servers:
            tables.append(_unheard(session, servers, Pin.APART))
    tables.append(_sends_alone(session))
    tables.append(_memory(session))
    method = (
        f"Messages of {len(MESSAGE)} bytes to one channel, one publisher, each subscriber on a connection of its own; "
        "CPU of the whole process, the median of the rounds. The delay is from before a message is sent until the "
        f"kernel has it for the last of {LISTENERS} subscribers, one message at a time, and nobody reads before it is "
        f"there. Readers beside them are {READERS} clients with {READS_A_SECOND:,} GETs a second in all, due at fixed "
        f"times. Memory is what {CHANNELS:,} "
        f"subscriptions to channels with names of {CHANNEL_BYTES} bytes add to used_memory, and in brackets to "
        f"resident memory, over {CONNECTIONS} connections. The kernel's share is the system's time of a process that "
        "sends the same bytes, a pipeline at once, to as many sockets."
    )
    return Findings("Messages to subscribers", method, tables)


def _unheard(session: Session, servers: Sequence[RunningServer], pin: Pin) -> Table:
    measured = measure(session.pinned(pin), servers, [UNHEARD], pipelines=(UNHEARD_PIPELINE,))
    return measured.cpu_table(f"Nobody subscribed, {pin.describe()}")


@dataclass(frozen=True)
class _Part:
    """A table whose cells are figures of one server each: for each row, the row's own cells and how to measure."""

    title: str
    columns: tuple[str, ...]
    rows: Callable[[Session], Sequence[tuple[tuple[str, ...], Callable[[RunningServer], float]]]]


def _in_turns(session: Session, servers: Sequence[RunningServer], pin: Pin, part: _Part) -> Table:
    table = Table(f"{part.title}, {pin.describe()}, microseconds", [*part.columns, *(one.label for one in servers)])
    for cells, figure in part.rows(session):
        taken: dict[str, list[float]] = {server.label: [] for server in servers}
        for turn in range(session.parameters.rounds):
            for server in rotated(servers, turn):
                taken[server.label].append(figure(server))
        table.rows.append([*cells, *(number(median(each)) for each in taken.values())])
        session.log(" ".join(table.rows[-1]))
    return table


def _cost_rows(session: Session) -> Sequence[tuple[tuple[str, ...], Callable[[RunningServer], float]]]:
    rows = []
    for subscribers, messages, pipeline in SHAPES:
        count = max(pipeline, session.parameters.scaled(messages, messages // QUICK_DIVISOR)) // pipeline

        def cost(
            server: RunningServer, subscribers: int = subscribers, count: int = count, pipeline: int = pipeline
        ) -> float:
            return _cost(server, subscribers, count, pipeline)

        rows.append(((str(subscribers), str(pipeline)), cost))
    return rows


def _delay_rows(session: Session) -> Sequence[tuple[tuple[str, ...], Callable[[RunningServer], float]]]:
    messages = session.parameters.scaled(DELAYS, DELAYS // QUICK_DIVISOR)
    shares = {"median": 0.5, "99th percentile": 0.99}
    return [
        ((name,), lambda server, share=share: _delay(server, messages, share))  # type: ignore[misc]
        for name, share in shares.items()
    ]


def _beside_rows(session: Session) -> Sequence[tuple[tuple[str, ...], Callable[[RunningServer], float]]]:
    rows = []
    for name, publishes in (("nobody publishes", False), (f"{MESSAGES_A_SECOND} messages a second", True)):

        def p99(server: RunningServer, publishes: bool = publishes) -> float:
            return _beside(session, server, publishes)

        rows.append(((name,), p99))
    return rows


_COSTS = _Part("Server CPU a delivered message", ("subscribers", "pipeline"), _cost_rows)
_DELAY = _Part(f"Delay to the last of {LISTENERS} subscribers", ("of the messages",), _delay_rows)
_BESIDE = _Part(f"99th percentile of GETs of others beside {LISTENERS} subscribers", ("meanwhile",), _beside_rows)


def _sends_alone(session: Session) -> Table:
    """System CPU of the sends alone, for each of the shapes: a pipeline of messages is one send a subscriber."""
    table = Table("The kernel's share: sends and nothing else, microseconds", ["subscribers", "pipeline", "a message"])
    for subscribers, messages, pipeline in SHAPES:
        count = max(pipeline, session.parameters.scaled(messages, messages // QUICK_DIVISOR)) // pipeline
        taken = [_sending(subscribers, count, pipeline) for _ in range(session.parameters.rounds)]
        table.rows.append([str(subscribers), str(pipeline), number(median(taken))])
        session.log(" ".join(table.rows[-1]))
    return table


def _sending(subscribers: int, rounds: int, pipeline: int) -> float:
    """Microseconds of the kernel a message, where a process sends what a pipeline of messages is to each subscriber."""
    size = len(_encoded(b"message", b"c", MESSAGE)) * pipeline
    processes = multiprocessing.get_context("fork")
    ours, its = processes.Pipe()
    with socket.create_server(("127.0.0.1", 0), backlog=subscribers) as server:
        sender = processes.Process(target=_send, args=(server, its, subscribers, size), daemon=True)
        sender.start()
        listeners = [socket.create_connection(server.getsockname()) for _ in range(subscribers)]
        for listener in listeners:
            listener.setblocking(False)
        for _ in range(rounds):
            ours.send(True)
            _receive(listeners, size * subscribers)
        ours.send(False)
        spent: float = ours.recv()
        sender.join()
    for listener in listeners:
        listener.close()
    return spent / (rounds * pipeline * subscribers) * 1e6


def _send(server: socket.socket, control: Connection, subscribers: int, size: int) -> None:
    """Sends to all that have connected as often as it is told to, then tells the system's time that this took."""
    clients = [server.accept()[0] for _ in range(subscribers)]
    for client in clients:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b"x" * size
    before = resource.getrusage(resource.RUSAGE_SELF).ru_stime
    while control.recv():
        for client in clients:
            client.sendall(data)
    control.send(resource.getrusage(resource.RUSAGE_SELF).ru_stime - before)


def _encoded(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _connect(server: RunningServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=SILENCE_SECONDS_MAX)


def _listeners(server: RunningServer, count: int) -> list[socket.socket]:
    """Connections that listen to the channel."""
    listeners = [_connect(server) for _ in range(count)]
    for listener in listeners:
        listener.sendall(_encoded(b"SUBSCRIBE", b"c"))
        listener.recv(RECEIVE_BYTES)
        listener.setblocking(False)
    return listeners


def _cost(server: RunningServer, subscribers: int, rounds: int, pipeline: int) -> float:
    """Microseconds of the server's CPU a delivered message."""
    listeners = _listeners(server, subscribers)
    delivered = rounds * pipeline * subscribers
    expected = delivered * len(_encoded(b"message", b"c", MESSAGE))
    receiver = multiprocessing.get_context("fork").Process(target=_receive, args=(listeners, expected), daemon=True)
    receiver.start()
    before = server.cpu_seconds()
    with _connect(server) as publisher:
        request, answer = _encoded(b"PUBLISH", b"c", MESSAGE) * pipeline, b":%d\r\n" % subscribers * pipeline
        for _ in range(rounds):
            publisher.sendall(request)
            _take(publisher, len(answer))
    receiver.join()
    if receiver.exitcode != 0:
        raise ConnectionError("the subscribers have not got all messages")
    spent = server.cpu_seconds() - before
    for listener in listeners:
        listener.close()
    server.settle()
    return spent / delivered * 1e6


def _take(client: socket.socket, missing: int) -> None:
    while missing:
        received = len(client.recv(missing))
        if not received:
            raise ConnectionError("the server has closed a connection")
        missing -= received


def _delay(server: RunningServer, messages: int, share: float) -> float:
    """Microseconds to the last subscriber, of a share of the messages at most."""
    listeners = _listeners(server, LISTENERS)
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    request, expected = _encoded(b"PUBLISH", b"c", MESSAGE), len(_encoded(b"message", b"c", MESSAGE))
    delays = []
    with _connect(server) as publisher:
        for _ in range(messages):
            begun = time.time_ns()
            publisher.sendall(request)
            _take(publisher, len(b":%d\r\n" % LISTENERS))
            # Who reads now would take a core from a server that sends with several threads. The kernel notes the times.
            time.sleep(DELIVERY_SECONDS)
            delays.append((_last_arrival(listeners, expected) - begun) / 1e3)
    for listener in listeners:
        listener.close()
    server.settle()
    delays.sort()
    return delays[min(len(delays) - 1, int(share * len(delays)))]


def _beside(session: Session, server: RunningServer, publishes: bool) -> float:
    """Microseconds of the 99th percentile of GETs while messages go to many."""
    listeners = _listeners(server, LISTENERS)
    seconds = BESIDE_QUICK_SECONDS if session.parameters.quick else BESIDE_SECONDS
    messages = round(seconds * MESSAGES_A_SECOND) if publishes else 0
    expected = messages * LISTENERS * len(_encoded(b"message", b"c", MESSAGE))
    receiver = threading.Thread(target=_receive, args=(listeners, expected), daemon=True)
    receiver.start()
    plan = replace(
        session.base_plan(), commands=("get",), clients=READERS, rate=READS_A_SECOND, duration_seconds=seconds + 1
    )
    with session.generator.start(server, plan) as readers, _connect(server) as publisher:
        for _ in range(messages):
            publisher.sendall(_encoded(b"PUBLISH", b"c", MESSAGE))
            _take(publisher, len(b":%d\r\n" % LISTENERS))
            time.sleep(1 / MESSAGES_A_SECOND)
        if not publishes:
            time.sleep(seconds)
        measured = readers.stop()
    receiver.join()
    for listener in listeners:
        listener.close()
    server.settle()
    session.note_errors(server, "get", measured)
    return measured.p99_us


def _receive_one(listener: socket.socket) -> tuple[bytes, Sequence[tuple[int, int, bytes]]]:
    """What has come, with its times; on a busy machine it may be late."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    if not waiting.poll(SILENCE_SECONDS_MAX * 1e3):
        raise TimeoutError(f"a message has not come within {SILENCE_SECONDS_MAX:.0f} s")
    return listener.recvmsg(RECEIVE_BYTES, 64)[:2]


def _last_arrival(listeners: Sequence[socket.socket], expected_bytes: int) -> int:
    """Takes a message from every subscriber; nanoseconds since the epoch at which the last had come."""
    last = 0
    for listener in listeners:
        missing = expected_bytes
        while missing > 0:
            data, ancillary = _receive_one(listener)
            if not data:
                raise ConnectionError("the server has closed a connection")
            missing -= len(data)
            # A kernel that does not tell leaves the time at which it was read.
            stamps = [struct.unpack("qq", value[:16]) for level, kind, value in ancillary if kind == SO_TIMESTAMPNS]
            last = max(last, *(seconds * 10**9 + rest for seconds, rest in stamps)) if stamps else time.time_ns()
    return last


def _memory(session: Session) -> Table:
    """Bytes a subscription. Servers are fresh, one after the other."""
    labels = [plan.label for plan in session.plans]
    table = Table("Memory a subscription, bytes", ["channels", *labels])
    channels = session.parameters.scaled(CHANNELS, CHANNELS // QUICK_DIVISOR)
    cells = []
    for plan in session.plans:
        with session.running([plan]) as (server,):
            cells.append(_growth(server, channels))
    table.rows.append([f"{channels:,}", *cells])
    session.log(" ".join(table.rows[-1]))
    return table


def _growth(server: RunningServer, channels: int) -> str:
    # Names and buffers of a first subscription each are there before.
    clients = [_connect(server) for _ in range(CONNECTIONS)]
    for number_of, client in enumerate(clients):
        _subscribe(client, [b"first:%0*d" % (CHANNEL_BYTES - 6, number_of)])
    before = _memory_of(server)
    for start in range(0, channels, CHANNELS_AT_ONCE):
        names = [b"c%0*d" % (CHANNEL_BYTES - 1, place) for place in range(start, start + CHANNELS_AT_ONCE)]
        _subscribe(clients[start // CHANNELS_AT_ONCE % CONNECTIONS], names)
    after = _memory_of(server)
    for client in clients:
        client.close()
    used, resident = ((late - early) / channels for early, late in zip(before, after, strict=True))
    return f"{number(used)} ({number(resident)})"


def _subscribe(client: socket.socket, names: Sequence[bytes]) -> None:
    client.sendall(_encoded(b"SUBSCRIBE", *names))
    answers = b""
    while answers.count(b"subscribe\r\n") < len(names) or not answers.endswith(b"\r\n"):
        received = client.recv(RECEIVE_BYTES)
        if not received:
            raise ConnectionError("the server has closed a connection")
        answers += received


def _memory_of(server: RunningServer) -> tuple[int, int]:
    time.sleep(REST_SECONDS)
    return int(server.client().info("memory")["used_memory"]), procfs.resident_bytes(server.pid)


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
