"""Makes the seeds of the fuzz targets for files and links: what Redis 7.0, Redis 8.0, Valkey 9.1 and Sherd really write.

    python -m tests.support.fuzz_seeds

Seeds are small, one kind of value each, for a fuzzer mutates few bytes at a time.
"""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path

from tests.support.references import find_reference, reference_names
from tests.support.servers import Server

seeds = Path(__file__).parents[2] / "fuzz" / "seeds"
bytes_max = 3000
# What a target is told besides: a stream, or a snapshot in front of one.
STREAM, SNAPSHOT = b"\x00", b"\x01"

Command = tuple[str, ...]
KINDS: dict[str, list[Command]] = {
    "strings": [
        ("SET", "a", "1"), ("SET", "b", "text"), ("SET", "c", "x" * 90), ("SET", "d", "v", "PX", "86400000"),
        ("APPEND", "b", "more"), ("INCRBYFLOAT", "a", "0.5"), ("SETRANGE", "b", "2", "y"), ("DEL", "c"),
    ],
    "lists": [("RPUSH", "l", "1", "two", "x" * 70), ("LPOP", "l"), ("LMOVE", "l", "m", "LEFT", "RIGHT")],
    "hashes": [("HSET", "h", "f", "v", "g", "1"), ("HSET", "big", "f", "x" * 70), ("HINCRBY", "h", "g", "2")],
    "sets": [("SADD", "s", "1", "2", "3"), ("SADD", "t", "a", "1"), ("SPOP", "s"), ("SMOVE", "t", "u", "a")],
    "sorted sets": [("ZADD", "z", "1.5", "m", "-inf", "n"), ("ZADD", "y", "1", "x" * 70), ("ZINCRBY", "z", "2", "m")],
    "streams": [
        ("XADD", "x", "1-1", "f", "v"), ("XADD", "x", "2-1", "f", "v", "g", "w"), ("XGROUP", "CREATE", "x", "g", "0"),
        ("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "x", ">"), ("XDEL", "x", "1-1"),
    ],
    "other types": [("PFADD", "p", "a", "b"), ("GEOADD", "geo", "13.3", "38.1", "P"), ("SETBIT", "bits", "17", "1")],
    "transactions": [
        ("MULTI",), ("SET", "a", "1"), ("SELECT", "3"), ("INCR", "b"), ("EXEC",), ("SELECT", "0"), ("PUBLISH", "c", "m"),
        ("EVAL", "redis.call('SET', KEYS[1], '1') redis.call('INCR', KEYS[1])", "1", "script"), ("FLUSHDB",),
    ],
}  # fmt: skip


def _keep(target: str, name: str, data: bytes) -> None:
    folder = seeds / target
    folder.mkdir(parents=True, exist_ok=True)
    assert len(data) <= bytes_max, (target, name, len(data))
    (folder / name.replace(" ", "-")).write_bytes(data)


def _received(port: int, commands: list[Command], server: Server) -> bytes:
    """What a replica is sent: the snapshot as it is announced, and the stream of some commands."""
    with socket.create_connection(("127.0.0.1", port)) as link, server.wire() as wire:
        link.settimeout(0.5)
        link.sendall(b"REPLCONF capa eof capa psync2\r\n")
        data = _some(link)
        link.sendall(b"PSYNC ? -1\r\n")
        deadline = time.monotonic() + 30
        while b"REDIS" not in data and b"VALKEY" not in data and time.monotonic() < deadline:
            data += _some(link)
        data += _some(link)
        link.sendall(b"REPLCONF ACK 0\r\n")
        wire.pipeline(commands)
        for _ in range(3):
            data += _some(link)
    return data[data.index(b"\r\n", data.index(b"+FULLRESYNC")) + 2 :].lstrip(b"\n")


def _some(link: socket.socket) -> bytes:
    data = b""
    try:
        while more := link.recv(1 << 16):
            data += more
    except TimeoutError:
        pass
    return data


def _make(name: str, kind: str, commands: list[Command]) -> None:
    program = None if name == "sherd" else find_reference(name)
    for diskless in ("yes", "no"):
        directory = Path(tempfile.mkdtemp(prefix="sherd-seeds-"))
        directives = {"dir": str(directory), "appendonly": "yes", "repl-diskless-sync-delay": "0"}
        with Server(program, directives={**directives, "maxclients": "400", "repl-diskless-sync": diskless}) as server:
            with server.wire() as wire:
                wire.pipeline(commands)
                wire.call("SAVE")
            snapshot_and_stream = _received(server.port, commands, server)
            server.stop()
        _keep("replication_stream", f"{name}-{kind}-{diskless}", SNAPSHOT + snapshot_and_stream)
        if diskless == "yes":
            continue
        _keep("rdb_file", f"{name}-{kind}", (directory / "dump.rdb").read_bytes())
        (increment,) = (directory / "appendonlydir").glob("*.incr.aof")
        _keep("append_file", f"{name}-{kind}", increment.read_bytes())
        _keep("append_file", f"{name}-{kind}-behind-a-snapshot",
              (directory / "dump.rdb").read_bytes() + increment.read_bytes())  # fmt: skip
        _keep("replication_stream", f"{name}-{kind}", STREAM + increment.read_bytes())


def _make_manifests(name: str) -> None:
    """As a server begins it, with what a rewrite leaves, and with a name that has to be quoted."""
    program = None if name == "sherd" else find_reference(name)
    for file_name, kind in (("appendonly.aof", "plain"), ("a b", "quoted")):
        directory = Path(tempfile.mkdtemp(prefix="sherd-seeds-"))
        directives = {"dir": str(directory), "appendonly": "yes", "appendfilename": file_name, "maxclients": "400"}
        path = directory / "appendonlydir" / f"{file_name}.manifest"
        with Server(program, directives=directives) as server, server.wire() as wire:
            wire.call("SET", "a", "1")
            _keep("manifest", f"{name}-{kind}", path.read_bytes())
            before = path.read_bytes()
            wire.call("BGREWRITEAOF")
            deadline = time.monotonic() + 30
            seen = set()
            while time.monotonic() < deadline and b"aof_rewrite_in_progress:1" in wire.value("INFO", "persistence"):
                seen.add(path.read_bytes())
            for number, text in enumerate(sorted({*seen, path.read_bytes()} - {before})):
                _keep("manifest", f"{name}-{kind}-rewritten-{number}", text)
            server.stop()
    odd = [
        b"file a.2.base.aof seq 2 type b\nfile a.1.base.rdb seq 1 type h\nfile a.1.incr.aof seq 1 type h\n"
        b"file a.2.incr.aof seq 2 type i\nfile a.3.incr.aof seq 3 type i startoffset 17\n",
        b'# a remark\r\nfile "a \\x00b\\n" seq 1 type i\r\n',
        b"FILE '\xff\xfe' SEQ 1 TYPE i",
        b"file a.1.incr.aof seq 1 type i repl-id " + b"a" * 40 + b" repl-offset 17 repl-stream-db 3 size 99\n",
        b"", b"\n", b"file ../dump.rdb seq 1 type b\n", b"file a seq 1 type b\nfile a seq 1 type h\n",
        b"file a.2.incr.aof seq 1 type i\n", b'file "' + b"\xff" * 250 + b'" seq 1 type i\n',
    ]  # fmt: skip
    for number, text in enumerate(odd):
        _keep("manifest", f"odd-{number}", text)


def main() -> None:
    """All of them."""
    for name in (*reference_names, "sherd"):
        _make_manifests(name)
        for kind, commands in KINDS.items():
            _make(name, kind, commands)
    for number, text in enumerate(
        [b"", b"$", b"$-1\r\n", b"$EOF:short\r\n", b"\n\n\n$5\r\nhello", b"*1\r\n$4\r\nEXEC\r\n"]
    ):
        _keep("replication_stream", f"odd-{number}", SNAPSHOT + text)


if __name__ == "__main__":
    main()
