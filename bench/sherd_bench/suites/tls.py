"""The tls suite: what encryption costs the server, a request and a handshake.

Requests are those of the core suite's GET, by the same generator, so that their figures compare. Connections are made
by Python, one after another; counted is the CPU of the server's process, so it does not matter how slow that is, and
handshakes a second are those of one core of the server. Certificates are of one authority, with keys on the curve
P-256; clients show none.
"""

import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from sherd_bench.document import Findings
from sherd_bench.load import LoadPlan
from sherd_bench.servers import KINDS, RunningServer, ServerUnavailableError
from sherd_bench.session import Pin, Session, rotated
from sherd_bench.tables import Table, number, ratio_columns, ratios
from sherd_bench.workloads import BY_NAME

PIPELINES = (1, 16)
GET = BY_NAME["get"]
HANDSHAKES = 2000
QUICK_HANDSHAKES = 100
TIMEOUT_SECONDS = 60.0
RECEIVE_BYTES = 64


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
        for pin in session.parameters.pins or (Pin.NONE,):
            with session.running(plans, pin) as servers:
                tables += [
                    _requests(session.pinned(pin), servers, (ports, folder / "ca.crt"), pin),
                    *_all_handshakes(session, servers, ports, pin),
                ]
    method = (
        f"{session.parameters.clients} connections, GET of a random key with a value of "
        f"{session.parameters.value_size_bytes} bytes; TLS 1.3, and 1.2 for handshakes as well; "
        "CPU of the whole process, the median of the rounds."
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
    session: Session, servers: Sequence[RunningServer], encrypted: tuple[dict[str, int], Path], pin: Pin
) -> Table:
    ports, authorities = encrypted
    labels = [server.label for server in servers]
    table = Table(
        f"Server CPU a GET, {pin.describe()}, microseconds", ["stream", "pipeline", *labels, *ratio_columns(labels)]
    )
    for server in servers:
        session.fill(server, GET.fill.command if GET.fill else GET.command, session.parameters.keys)
    for stream in ("plain", "TLS"):
        for pipeline in PIPELINES:
            plan = replace(
                session.base_plan(),
                commands=(GET.command,),
                pipeline=pipeline,
                requests=session.parameters.requests(GET, pipeline),
                tls_authorities=authorities if stream == "TLS" else None,
            )

            def cost(server: RunningServer, plan: LoadPlan = plan) -> float:
                port = None if plan.tls_authorities is None else ports[server.label]
                spent = session.sample(server, replace(plan, port=port)).server_cpu_us_per_request
                server.settle()
                return spent

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


def _all_handshakes(session: Session, servers: Sequence[RunningServer], ports: dict[str, int], pin: Pin) -> list[Table]:
    labels = [server.label for server in servers]
    columns = ["version", "session", *labels, *ratio_columns(labels)]
    cost = Table(f"Server CPU a connection with its handshake and a PING, {pin.describe()}, microseconds", columns)
    rate = Table("Handshakes a second of one core of the server", ["version", "session", *labels])
    count = session.parameters.scaled(HANDSHAKES, QUICK_HANDSHAKES)
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
        plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, session=session) as client:
            client.sendall(b"*1\r\n$4\r\nPING\r\n")
            if client.recv(RECEIVE_BYTES) != b"+PONG\r\n":
                raise ConnectionError("the server did not answer a PING")
            if resumes:
                session = client.session
        if number_of == 0:
            # The first one has no session to resume.
            before = server.cpu_seconds()
    spent = server.cpu_seconds() - before
    server.settle()
    return spent / count * 1e6
