"""The tls suite: what encryption costs the server, a request and a handshake.

Python makes the load, over as many connections as the other suites have: it sends on all of them, then reads from all.
Counted is the CPU of the server's process, so it does not matter how slow that is; as the clients' cost is far above
the server's, requests a second would be those of the clients. Handshakes a second are therefore those of one core of
the server. Certificates are of one authority, with keys on the curve P-256; clients show none.
"""

import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from sherd_bench.document import Findings
from sherd_bench.servers import KINDS, RunningServer, ServerUnavailableError
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.tables import Table, number, ratio_columns, ratios

PIPELINES = (1, 16)
# Requests of a run by depth, and handshakes.
REQUESTS = {1: 100_000, 16: 800_000}
HANDSHAKES = 2000
QUICK_DIVISOR = 20
KEY = b"key:000000000000"
TIMEOUT_SECONDS = 60.0
RECEIVE_BYTES = 1 << 16


def run(session: Session) -> Findings:
    """Server CPU a GET over TLS and in plain, and a handshake, full or resumed."""
    tables = []
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as name:
        folder = Path(name)
        _make_certificates(folder)
        files = ("--tls-cert-file", str(folder / "server.crt"), "--tls-key-file", str(folder / "server.key"),
                 "--tls-ca-cert-file", str(folder / "ca.crt"), "--tls-auth-clients", "no")  # fmt: skip
        ports = {plan.label: _free_port() for plan in session.plans}
        plans = [
            replace(plan, extra_arguments=(*plan.extra_arguments, "--tls-port", str(ports[plan.label]), *files))
            for plan in session.plans
        ]
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        for pin in session.parameters.pins or (Pin.NONE,):
            with session.running(plans, pin) as servers:
                tables += [
                    _requests(session, servers, ports, context, pin),
                    *_all_handshakes(session, servers, ports, pin),
                ]
    method = (
        f"{session.parameters.clients} connections, GET of a key with a value of {session.parameters.value_size_bytes} "
        "bytes; TLS 1.3, and 1.2 for handshakes as well; CPU of the whole process, the median of the rounds."
    )
    return Findings("TLS", method, tables)


def _make_certificates(folder: Path) -> None:
    program = KINDS["sherd"].find()
    if program is None:
        raise ServerUnavailableError("sherd, which makes the certificates, is not installed")
    words = [str(program), "cert", str(folder), "127.0.0.1"]
    subprocess.run(words, check=True, capture_output=True, timeout=TIMEOUT_SECONDS)  # noqa: S603 (the project's own)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _requests(
    session: Session, servers: Sequence[RunningServer], ports: dict[str, int], context: ssl.SSLContext, pin: Pin
) -> Table:
    labels = [server.label for server in servers]
    table = Table(
        f"Server CPU a GET, {pin.describe()}, microseconds", ["stream", "pipeline", *labels, *ratio_columns(labels)]
    )
    for server in servers:
        server.client().call("SET", KEY.decode(), "x" * session.parameters.value_size_bytes)
    for stream in ("plain", "TLS"):
        for pipeline in PIPELINES:
            requests = session.parameters.scaled(REQUESTS[pipeline], REQUESTS[pipeline] // QUICK_DIVISOR)

            def cost(
                server: RunningServer, stream: str = stream, pipeline: int = pipeline, left: int = requests
            ) -> float:
                port = ports[server.label] if stream == "TLS" else server.port
                return _cost(session, server, (port, context if stream == "TLS" else None), (pipeline, left))

            table.rows.append([stream, str(pipeline), *_row(session, servers, cost)])
            session.log(" ".join(table.rows[-1]))
    return table


def _row(session: Session, servers: Sequence[RunningServer], figure: Callable[[RunningServer], float]) -> list[str]:
    taken: dict[str, list[float]] = {server.label: [] for server in servers}
    for turn in range(session.parameters.rounds):
        for server in rotated(servers, turn):
            taken[server.label].append(figure(server))
    medians = {label: median(figures) for label, figures in taken.items()}
    return [*(number(value) for value in medians.values()), *ratios(medians)]


def _connect(port: int, context: ssl.SSLContext | None) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain


def _cost(
    session: Session,
    server: RunningServer,
    where: tuple[int, ssl.SSLContext | None],
    amount: tuple[int, int],
) -> float:
    """Microseconds of the server's CPU a request."""
    pipeline, requests = amount
    request = b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(KEY), KEY) * pipeline
    size = session.parameters.value_size_bytes
    answer = len(b"$%d\r\n" % size + b"\r\n") + size
    with ExitStack() as stack:
        clients = [stack.enter_context(_connect(*where)) for _ in range(session.parameters.clients)]
        rounds = max(1, requests // pipeline // len(clients))
        before = server.cpu_seconds()
        for _ in range(rounds):
            for client in clients:
                client.sendall(request)
            for client in clients:
                _take(client, answer * pipeline)
        spent = server.cpu_seconds() - before
    server.settle()
    return spent / (rounds * pipeline * len(clients)) * 1e6


def _take(client: socket.socket, missing: int) -> None:
    while missing:
        received = len(client.recv(min(missing, RECEIVE_BYTES)))
        if not received:
            raise ConnectionError("the server has closed a connection")
        missing -= received


def _all_handshakes(session: Session, servers: Sequence[RunningServer], ports: dict[str, int], pin: Pin) -> list[Table]:
    labels = [server.label for server in servers]
    columns = ["version", "session", *labels, *ratio_columns(labels)]
    cost = Table(f"Server CPU a connection with its handshake and a PING, {pin.describe()}, microseconds", columns)
    rate = Table("Handshakes a second of one core of the server", ["version", "session", *labels])
    count = session.parameters.scaled(HANDSHAKES, HANDSHAKES // QUICK_DIVISOR)
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        for resumed in (False, True):

            def figure(server: RunningServer, version: ssl.TLSVersion = version, resumed: bool = resumed) -> float:
                return _handshake(server, ports[server.label], version, (resumed, count))

            cells = _row(session, servers, figure)
            words = [version.name.replace("v1_", " 1."), "resumed" if resumed else "new"]
            cost.rows.append([*words, *cells])
            costs = [float(cell.replace(",", "")) for cell in cells[: len(labels)]]
            rate.rows.append([*words, *(number(1e6 / each) if each else "-" for each in costs)])
            session.log(" ".join(cost.rows[-1]))
    return [cost, rate]


def _handshake(server: RunningServer, port: int, version: ssl.TLSVersion, what: tuple[bool, int]) -> float:
    """Microseconds of the server's CPU a connection."""
    resumes, count = what
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nobody is protected here, and the client's cost shall be small.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    session: ssl.SSLSession | None = None
    before = 0.0
    for number_of in range(count + 1):
        with context.wrap_socket(_connect(port, None), session=session) as client:
            client.sendall(b"*1\r\n$4\r\nPING\r\n")
            _take(client, len(b"+PONG\r\n"))
            if resumes:
                session = client.session
        if number_of == 0:
            # The first one has no session to resume.
            before = server.cpu_seconds()
    spent = server.cpu_seconds() - before
    server.settle()
    return spent / count * 1e6
