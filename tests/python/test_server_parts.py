"""The parts of a running server: settings for the data plane, listeners, descriptors, the pid file, the control loop."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sherd.config import Config
from sherd.errors import ConfigError
from sherd.observability.sampler import INTERVAL_SECONDS, SAMPLES
from sherd.server.control import ControlLoop
from sherd.server.listeners import ListenError, open_listeners, parse_address
from sherd.server.process import PidFile, notify_supervisor, raise_descriptor_limit
from sherd.server.settings import native_settings
from sherd.spec import command
from tests.python.fake_engine import Bench


def _set(config: Config, **values: Any) -> Config:
    config.set_many([(name.replace("_", "-").encode(), value.encode()) for name, value in values.items()])
    return config


class FakeSockets:
    """`listen` of the engine: ports in `taken` are in use, hosts in `missing` are not on this machine."""

    def __init__(self, taken: set[int] = frozenset(), missing: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.taken, self.missing = taken, missing
        self.bound: list[tuple[str, int]] = []

    def listen(self, host: str, port: int, backlog: int, tls: bool) -> int:
        if host in self.missing:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address (os error 99)")
        if port in self.taken:
            raise OSError(errno.EADDRINUSE, "Address already in use (os error 98)")
        self.bound.append((host, port or 4321))
        return port or 4321

    def listen_unix(self, path: str, mode: int, backlog: int) -> None:
        self.bound.append((path, mode))


def test_every_native_parameter_is_a_number_for_the_data_plane() -> None:
    settings = native_settings(Config())
    assert all(type(value) is int for value in settings.values())
    assert settings["maxclients"] == 10000
    assert settings["protected-mode"] == 1
    assert settings["output-limit-normal-hard"] == 0


def test_words_become_the_data_planes_numbers() -> None:
    config = _set(Config(), maxmemory_policy="allkeys-lfu", notify_keyspace_events="KEA")
    settings = native_settings(config)
    assert settings["maxmemory-policy"] == 3
    assert settings["notify-keyspace-events"] == 0b11_1001_1111_1111 & ~(1 << 9) & ~(1 << 10) | (1 << 11)


def test_only_changed_parameters_are_translated() -> None:
    assert native_settings(Config(), {"maxmemory", "dir", "client-output-buffer-limit"}).keys() == {
        "maxmemory", "output-limit-normal-hard", "output-limit-normal-soft", "output-limit-normal-seconds",
        "output-limit-pubsub-hard", "output-limit-pubsub-soft", "output-limit-pubsub-seconds",
        "output-limit-replica-hard", "output-limit-replica-soft", "output-limit-replica-seconds",
    }  # fmt: skip


def test_a_limit_beyond_64_bits_is_the_largest_that_there_is() -> None:
    assert native_settings(_set(Config(), maxmemory=str(2**64 - 1)))["maxmemory"] == 2**63 - 1


@pytest.mark.parametrize(
    ("word", "hosts", "optional"),
    [
        ("*", ("0.0.0.0",), False),
        ("-::*", ("::",), True),
        ("127.0.0.1", ("127.0.0.1",), False),
        ("::1", ("::1",), False),
    ],
)
def test_wildcards_and_optional_addresses_are_understood(word: str, hosts: tuple[str, ...], optional: bool) -> None:
    address = parse_address(word)
    assert (address.hosts, address.optional) == (hosts, optional)


def test_an_unknown_host_is_an_error_unless_it_is_optional() -> None:
    with pytest.raises(ListenError, match=r"cannot resolve the address 'no[.]such"):
        parse_address("no.such.host.invalid")
    assert parse_address("-no.such.host.invalid").hosts == ()


def test_all_addresses_get_the_port_that_the_first_one_got() -> None:
    config, sockets = _set(Config(), bind="127.0.0.1 127.0.0.2"), FakeSockets()
    (listener,) = open_listeners(sockets, config, 0)  # type: ignore[arg-type]
    assert listener.port == 4321
    assert sockets.bound == [("127.0.0.1", 4321), ("127.0.0.2", 4321)]


def test_an_optional_address_may_be_missing_but_its_port_may_not_be_taken() -> None:
    config = _set(Config(), bind="127.0.0.1 -127.0.0.9")
    (listener,) = open_listeners(FakeSockets(missing={"127.0.0.9"}), config, 7)  # type: ignore[arg-type]
    assert listener.addresses == ("127.0.0.1",)
    with pytest.raises(ListenError, match=r"127.0.0.1:7: Address already in use \('port' names another"):
        open_listeners(FakeSockets(taken={7}), config, 7)  # type: ignore[arg-type]


def test_a_missing_address_that_is_not_optional_is_an_error() -> None:
    config = _set(Config(), bind="127.0.0.9")
    with pytest.raises(ListenError, match="Cannot assign requested address"):
        open_listeners(FakeSockets(missing={"127.0.0.9"}), config, 7)  # type: ignore[arg-type]


def test_without_any_address_there_is_nothing_to_listen_on() -> None:
    with pytest.raises(ListenError, match="nothing to listen on"):
        open_listeners(FakeSockets(), Config(), -1)  # type: ignore[arg-type]


def test_a_file_is_never_replaced_by_a_unix_socket(tmp_path: Path) -> None:
    config = Config()
    path = tmp_path / "data"
    path.write_text("precious")
    config._values["unixsocket"] = str(path)
    with pytest.raises(ListenError, match="there is a file that is no socket"):
        open_listeners(FakeSockets(), config, -1)  # type: ignore[arg-type]
    assert path.read_text() == "precious"


def test_a_unix_socket_gets_its_mode_and_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config, sockets = Config(), FakeSockets()
    config._values.update({"unixsocket": "s.sock", "unixsocketperm": 0o700})
    (listener,) = open_listeners(sockets, config, -1)  # type: ignore[arg-type]
    assert (listener.kind, listener.addresses) == ("unix", (str(tmp_path / "s.sock"),))
    assert sockets.bound == [(str(tmp_path / "s.sock"), 0o700)]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The process's limit of open files; the last one is in force, and nobody may raise the hard one."""
    now = [(1024, 4096)]

    def change(_which: int, wanted: tuple[int, int]) -> None:
        if wanted[1] > now[-1][1] or wanted[0] > wanted[1]:
            raise ValueError("not allowed to raise maximum limit")
        now.append(wanted)

    monkeypatch.setattr(resource, "getrlimit", lambda _which: now[-1])
    monkeypatch.setattr(resource, "setrlimit", change)
    return now


def test_the_limit_of_open_files_is_raised_for_the_clients(limits: list[tuple[int, int]]) -> None:
    assert raise_descriptor_limit(2000, 2) == 2000
    assert limits[-1][0] > 2000
    assert raise_descriptor_limit(100, 2) == 100


def test_fewer_clients_are_served_where_the_limit_cannot_be_raised(limits: list[tuple[int, int]]) -> None:
    room = raise_descriptor_limit(10000, 2)
    assert 4000 < room < 4096
    assert limits[-1] == (4096, 4096)


def test_a_limit_without_room_for_a_client_is_one_clear_line(limits: list[tuple[int, int]]) -> None:
    limits.append((20, 30))
    with pytest.raises(ConfigError, match="the limit of 30 open files leaves none for clients"):
        raise_descriptor_limit(10000, 2)


def test_the_pid_file_is_there_while_the_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "sherd.pid"
    with PidFile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()
    with PidFile(str(tmp_path / "no" / "such" / "directory")), PidFile(""):
        pass


def test_the_supervisor_is_told_over_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        supervisor.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        notify_supervisor("READY=1")
        assert supervisor.recv(100) == b"READY=1"


@command("testonly-echo", arity=-1, group="server", since="1.0.0", summary="Answers its argument; of the tests.")
def _echo(request: Any) -> bytes:
    if request.args[1] == b"fail":
        raise RuntimeError("on purpose")
    return bytes(request.args[1])


class Inbox:
    """An engine with a bell: a pipe that is readable while requests wait."""

    def __init__(self, bench: Bench) -> None:
        self.engine: Any = bench.engine
        self.reader, self.writer = os.pipe()
        self.waiting: list[Any] = []
        self.replies: dict[int, bytes] = {}
        self.batches: list[int] = []
        self.interruptions: list[tuple[int, int, str]] = []
        self.logs = [(2, 1.0, "sherd-io-0", "hello", {"a": 1})]
        for name in ("request_fd", "drain_requests", "drain_interruptions", "take_emptied", "reply", "drain_logs"):
            setattr(bench.engine, name, getattr(self, name))

    def send(self, token: int, *args: bytes) -> None:
        self.waiting.append(
            SimpleNamespace(
                token=token, args=list(args), command="testonly-echo", client_id=1, wait=token, user=b"default", db=0,
                resp=2, address="a:1", local_address="b:2", in_multi=False, queued=None, is_extension=False,
            )
        )  # fmt: skip
        os.write(self.writer, b"x")

    def request_fd(self) -> int:
        return self.reader

    def drain_interruptions(self) -> list[tuple[int, int, str]]:
        interruptions, self.interruptions = self.interruptions, []
        return interruptions

    def take_emptied(self) -> bool:
        return False

    def drain_requests(self, limit: int) -> list[Any]:
        os.read(self.reader, 1 << 16)
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        self.batches.append(len(taken))
        if self.waiting:
            os.write(self.writer, b"x")
        return taken

    def reply(self, request: Any, data: bytes, close: bool = False) -> None:
        token = request.token
        assert token not in self.replies, "a request is answered once"
        self.replies[token] = data

    def drain_logs(self, limit: int) -> list[Any]:
        taken, self.logs = self.logs[:limit], self.logs[limit:]
        return taken


def _run_control(requests: list[tuple[int, bytes]]) -> tuple[Inbox, list[Any]]:
    async def run() -> tuple[Inbox, list[Any]]:
        bench, logs = Bench(), []
        inbox = Inbox(bench)
        control = ControlLoop(bench.node, bench.services, logs.extend)
        control.start()
        for token, word in requests:
            inbox.send(token, b"testonly-echo", word)
        for _ in range(1000):
            if len(inbox.replies) == len(requests):
                break
            await asyncio.sleep(0.01)
        await control.stop()
        os.close(inbox.reader)
        os.close(inbox.writer)
        return inbox, logs

    return asyncio.run(run())


@command(
    "testonly-interrupted", arity=-1, group="server", since="1.0.0", summary="Waits to be interrupted; of the tests.",
    flags="blocking",
)  # fmt: skip
async def _interrupted(request: Any) -> bytes:
    return str(await request.interruption).encode()


def test_what_ends_a_wait_does_not_end_the_next_one_of_its_connection() -> None:
    async def run() -> dict[int, bytes]:
        bench = Bench()
        inbox = Inbox(bench)
        control = ControlLoop(bench.node, bench.services, lambda records: None)
        control.start()
        for wait in (1, 2):
            inbox.send(wait, b"testonly-interrupted")
            inbox.waiting[-1].command = "testonly-interrupted"
            # The second is there when what was noted of the first one, twice, is looked at.
            inbox.interruptions += [(1, 1, "timeout")]
            for _ in range(20):
                await asyncio.sleep(0)
        before = dict(inbox.replies)
        inbox.interruptions.append((1, 2, "unblocked"))
        os.write(inbox.writer, b"x")
        for _ in range(1000):
            if len(inbox.replies) == 2:
                break
            await asyncio.sleep(0.01)
        await control.stop()
        os.close(inbox.reader)
        os.close(inbox.writer)
        assert before == {1: b"$7\r\ntimeout\r\n"}
        return inbox.replies

    assert asyncio.run(run()) == {1: b"$7\r\ntimeout\r\n", 2: b"$9\r\nunblocked\r\n"}


class Transactions(Inbox):
    """An inbox whose transactions are followed: what is begun, answered in between and ended."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.steps: list[Any] = []
        self.answers_wanted = 0
        # So many times its shards are busy.
        self.busy = 0
        for name in ("begin_exec", "answer_in_exec", "end_exec"):
            setattr(bench.engine, name, getattr(self, name))

    def send_exec(self, token: int, *commands: str) -> None:
        self.send(token, b"EXEC")
        exec_request = self.waiting.pop()
        for name in commands:
            self.send(token, name.encode(), b"x")
            self.waiting[-1].command = name
        exec_request.queued = [self.waiting.pop() for _ in commands][::-1]
        self.waiting.append(exec_request)

    def begin_exec(self, request: Any, seconds: float) -> bool | None:
        if self.busy:
            self.busy -= 1
            self.steps.append("busy")
            return None
        self.answers_wanted = len(request.queued)
        self.steps.append("begin")
        return self.answers_wanted > 0

    def answer_in_exec(self, request: Any, reply: bytes) -> bool:
        self.steps.append(reply)
        self.answers_wanted -= 1
        return self.answers_wanted > 0

    def end_exec(self, request: Any) -> None:
        self.steps.append("end")


def _run_transaction(*commands: str, busy: int = 0) -> list[Any]:
    async def run() -> list[Any]:
        bench = Bench()
        inbox = Transactions(bench)
        inbox.busy = busy
        control = ControlLoop(bench.node, bench.services, lambda records: None)
        control.start()
        inbox.send_exec(1, *commands)
        for _ in range(1000):
            if "end" in inbox.steps:
                break
            await asyncio.sleep(0.01)
        await control.stop()
        os.close(inbox.reader)
        os.close(inbox.writer)
        return inbox.steps

    return asyncio.run(run())


@command("testonly-later", arity=-1, group="server", since="1.0.0", summary="Answers in its own time; of the tests.")
async def _later(request: Any) -> str:
    await asyncio.sleep(0)
    return "later"


def test_the_handlers_of_a_transaction_run_between_its_beginning_and_its_end() -> None:
    assert _run_transaction("testonly-echo", "testonly-echo") == ["begin", b"$1\r\nx\r\n", b"$1\r\nx\r\n", "end"]


def test_a_handler_that_waits_runs_before_its_transaction_holds_the_shards() -> None:
    steps = _run_transaction("testonly-echo", "testonly-later", "testonly-echo")
    assert steps == ["begin", b"$1\r\nx\r\n", b"$5\r\nlater\r\n", b"$1\r\nx\r\n", "end"]


def test_a_transaction_whose_shards_are_busy_is_begun_again() -> None:
    steps = _run_transaction("testonly-echo", "testonly-later", busy=3)
    assert steps == ["busy"] * 3 + ["begin", b"$1\r\nx\r\n", b"$5\r\nlater\r\n", "end"]


@command("testonly-static", arity=-1, group="server", since="1.0.0", summary="Depends on nothing; of the tests.",
         reads="nothing")  # fmt: skip
def _static(request: Any) -> str:
    _ran.append("static")
    return "static"


@command("testonly-config", arity=-1, group="server", since="1.0.0", summary="Depends on directives; of the tests.",
         reads="config")  # fmt: skip
def _config(request: Any) -> str:
    _ran.append("config")
    return "config"


_ran: list[str] = []


@pytest.mark.parametrize(
    ("commands", "before", "within"),
    [
        (("testonly-static", "testonly-config"), ["static", "config"], []),
        (("config|set", "testonly-static", "testonly-config"), ["static"], ["config"]),
    ],
)
def test_a_reply_that_a_transaction_cannot_change_is_made_before_the_shards_are_held(
    commands: tuple[str, ...], before: list[str], within: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _ran.clear()
    ran_before: list[str] = []
    begin_exec = Transactions.begin_exec

    def begin(inbox: Transactions, request: Any, seconds: float) -> bool | None:
        ran_before.extend(_ran)
        return begin_exec(inbox, request, seconds)

    monkeypatch.setattr(Transactions, "begin_exec", begin)
    assert len(_run_transaction(*commands)) == len(commands) + 2
    assert (ran_before, _ran[len(ran_before) :]) == (before, within)


def test_a_transaction_ends_whatever_happens_to_its_handlers() -> None:
    assert _run_transaction("no-such-command")[::2] == ["begin", "end"]


def test_every_request_is_answered_once_in_bounded_batches() -> None:
    inbox, logs = _run_control([(token, b"%d" % token) for token in range(300)])
    assert inbox.replies[299] == b"$3\r\n299\r\n"
    assert len(inbox.replies) == 300
    assert max(inbox.batches) <= 64
    assert [record[3] for record in logs] == ["hello"]


def test_a_handler_that_fails_is_an_error_reply_and_the_loop_goes_on() -> None:
    inbox, _ = _run_control([(1, b"fail"), (2, b"fine")])
    assert inbox.replies[1].startswith(b"-ERR internal error")
    assert inbox.replies[2] == b"$4\r\nfine\r\n"


@command("testonly-wait", arity=1, group="server", since="1.0.0", summary="Never answers; of the tests.")
async def _wait(request: Any) -> None:
    await asyncio.Event().wait()


def test_a_request_without_an_answer_is_closed_when_the_loop_stops() -> None:
    async def run() -> list[tuple[int, bytes, bool]]:
        bench = Bench()
        inbox, closed = Inbox(bench), []
        bench.engine.reply = lambda request, data, close=False: closed.append((request.token, data, close))  # type: ignore[attr-defined]
        control = ControlLoop(bench.node, bench.services, lambda records: None)
        control.start()
        inbox.send(7, b"testonly-wait")
        inbox.waiting[0].command = "testonly-wait"
        for _ in range(10):
            await asyncio.sleep(0.001)
        await control.stop()
        return closed

    assert asyncio.run(run()) == [(7, b"", True)]


def test_the_loop_of_an_idle_server_ticks_rarely_until_a_request_comes() -> None:
    """The rates that the request may ask for are those of its moment, not of a second ago."""

    async def run() -> None:
        bench = Bench()
        inbox = Inbox(bench)
        control = ControlLoop(bench.node, bench.services, lambda _records: None)
        control.start()
        for _ in range(SAMPLES + 1):
            control._tick()
        ticker = control._ticker
        assert ticker is not None
        assert ticker.when() - asyncio.get_running_loop().time() > 2 * INTERVAL_SECONDS
        last_sample = bench.node.sampler.last_sample
        inbox.send(7, b"testonly-echo", b"x")
        while 7 not in inbox.replies:  # noqa: ASYNC110 - the fake engine has no event
            await asyncio.sleep(0.001)
        assert bench.node.sampler.last_sample > last_sample
        await control.stop()
        os.close(inbox.reader)
        os.close(inbox.writer)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_the_bell_alone_moves_the_logs() -> None:
    """The data plane rings for log records as well; then there is no request."""

    async def run() -> list[Any]:
        bench, logs = Bench(), []
        inbox = Inbox(bench)
        control = ControlLoop(bench.node, bench.services, logs.extend)
        control.start()
        logs.clear()
        inbox.logs = [(3, 2.0, "sherd-io-1", "trouble", {})]
        os.write(inbox.writer, b"x")
        while not logs:  # noqa: ASYNC110 - the fake engine has no event
            await asyncio.sleep(0.001)
        await control.stop()
        os.close(inbox.reader)
        os.close(inbox.writer)
        return logs

    assert asyncio.run(asyncio.wait_for(run(), 60)) == [(3, 2.0, "sherd-io-1", "trouble", {})]
