"""The native engine: the only binding between the data plane and Python.

Python calls down; the data plane never calls Python. What it has to say waits in bounded queues, and two descriptors
become readable when there is something: control requests, and log records.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypedDict, final, type_check_only

__all__ = [
    "Call",
    "CheckProgress",
    "PrimaryLink",
    "Replicas",
    "Request",
    "Server",
    "TlsConnection",
    "__version__",
    "add_runtime",
    "announce_runtime_maker",
    "check_append",
    "check_rdb",
    "choose_huge_pages",
    "command_count",
    "command_table",
    "dismiss_runtime_maker",
    "event_names",
    "fail_runtimes",
    "glob_filter",
    "histogram_bounds",
    "huge_pages_gathered_bytes",
    "key_positions",
    "key_slot",
    "load_lua",
    "look_for_huge_pages",
    "make_certificates",
    "make_runtime",
    "redis_version",
    "register_commands",
    "set_time_slice",
    "setting_table",
    "used_memory",
    "wait_for_runtime_demand",
]

__version__: str

redis_version: str
"""The version of Redis whose behaviour clients may rely on, as HELLO tells it."""

@type_check_only
class SpecDict(TypedDict):
    """A command specification, as the control plane declares it and as `command_table` gives it back."""

    name: str
    summary: str
    since: str
    history: list[tuple[str, str]]
    """What later versions changed: (version, what)."""
    deprecated: tuple[str, str] | None
    """(version since which, what to use instead)."""
    system: bool
    """Meant for servers and their developers, not for applications."""
    complexity: str
    group: str
    arity: int
    flags: list[str]
    categories: list[str]
    """With their ACL sign stripped; complete in `command_table`, additional ones when declared."""
    keys: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]]
    """(flags, begin, find): begin `("index", 1)`, `("keyword", "STREAMS", 1)` or `("unknown",)`;
    find `("range", last, step, limit)`, `("keynum", number, first, step)` or `("unknown",)`."""
    syntax: str
    tips: list[str]
    secrets: list[tuple[str, int, int, int]]
    """(word, start, step, count): `count` arguments behind each such word are hidden from MONITOR and the slow log."""
    container: bool

@type_check_only
class CommandRow(SpecDict):
    """A row of the command table: the specification and what follows from it."""

    id: int
    doc_flags: list[str]
    """`deprecated`, `syscmd`."""
    first_key: int
    last_key: int
    key_step: int
    plane: str
    """`data`, `connection`, `control` or `container`."""

def register_commands(specs: list[SpecDict]) -> None:
    """Declares control-plane commands. Only before the first `Server` of the process; a second call is an error."""

def command_count() -> int:
    """How many commands and subcommands the server itself has; their ids are the numbers below."""

def command_table() -> list[CommandRow]:
    """Every command and subcommand (`client|list`), sorted by name. Installs the table if that has not happened."""

def key_positions(args: list[bytes]) -> list[tuple[int, str]] | None:
    """Argument numbers of a command line's keys with their key-spec flags; None if the command is unknown or its
    arguments are wrong. Empty if it has no keys."""

@type_check_only
class SettingRow(TypedDict):
    """A setting of the data plane, as it is declared there."""

    name: str
    default: int
    least: int
    greatest: int
    numbers: dict[str, int]
    """What stands for each word, or for each letter; empty for plain numbers."""
    adds_up: bool
    """Whether the value is a sum of letters' bits."""

def setting_table() -> list[SettingRow]:
    """The settings that can be configured; their names are those of redis.conf."""

def choose_huge_pages(automatic: bool, gathers: bool) -> bool:
    """Says whether the kernel may give this process huge pages by its own choice, and whether stretches of memory that
    are in use are to be gathered in huge pages, where it can do that; false where it knows no such wishes."""

def look_for_huge_pages(quiet: bool) -> None:
    """Begins to gather huge pages in the background if there is reason to. A quiet server uses no pages anew."""

def huge_pages_gathered_bytes() -> int:
    """Bytes that were gathered in huge pages, whatever has become of them."""

def make_certificates(hosts: list[str], client: str, days: int) -> list[tuple[str, str]]:
    """Files by their names, with what is in them: certificates and keys of a new authority, and of a server for these
    hosts and a client, which it has signed; all count for so many days. ValueError for what is no host's name."""

def set_time_slice(microseconds: int) -> None:
    """Asks the kernel for a time slice for the calling thread; without effect before Linux 6.12."""

def used_memory() -> int:
    """Bytes allocated by the native side now, over all servers of the process."""

def glob_filter(pattern: bytes, texts: Sequence[bytes], ignore_case: bool = False) -> list[int]:
    """The places of the texts that a pattern matches as Redis matches it, in their order; bounded by the product of the
    lengths."""

def event_names() -> list[str]:
    """The names of all keyspace events, by their classes."""

def key_slot(key: bytes) -> int:
    """The hash slot of a key."""

def load_lua(path: str) -> None:
    """Finds Lua's C API in lupa's extension module, or in another shared library. Raises RuntimeError where it is not
    complete; once it was found, nothing else is looked for."""

def announce_runtime_maker() -> None:
    """Says that there will be a thread in `wait_for_runtime_demand`: who needs a runtime before that waits."""

def dismiss_runtime_maker() -> None:
    """Says that nobody makes runtimes any longer: `wait_for_runtime_demand` returns 0."""

def wait_for_runtime_demand() -> int:
    """Waits, without the interpreter's lock, until threads need runtimes for scripts, and returns how many; 0 when
    nobody is to make any longer."""

def add_runtime(owner: object, address: int, memory_bytes_max: int) -> None:
    """Takes over the Lua state at an address, which may have so many bytes in all. Its owner, which nobody uses any
    more, is kept until the process ends."""

def make_runtime(memory_bytes_max: int) -> None:
    """Makes a runtime in the library that `load_lua` has found, whose states need not be lupa's."""

def fail_runtimes(reason: str) -> None:
    """Says that no runtimes can be made, and why: scripts answer an error from now on."""

@final
class Request:
    """One control request; immutable."""

    token: int
    args: list[bytes]
    command: str
    """The command's full name, `config|get`."""
    client_id: int
    wait: int
    """Which wait of its connection a command begins that blocks."""
    user: bytes
    """The name of the client's user."""
    db: int
    resp: int
    address: str
    local_address: str
    in_multi: bool
    """Run by EXEC; the reply becomes an element of its array."""
    queued: list[Request] | None
    """The control commands of a transaction, and those of extensions, where the request is one."""
    is_extension: bool
    """A command of an extension, in a transaction: `Server.call_in_exec` makes its reply."""

@final
class Call:
    """One execution of a command in Python, a job or a hook: what it has data commands executed by.

    command: its name; of a job or a hook the function's. db: the client's database; of a hook its event's. client_id:
    None without a client. now_ms: the time, in milliseconds since the epoch, that all its commands see. in_multi: run
    by EXEC.
    """

    command: str
    db: int
    client_id: int | None
    now_ms: int
    in_multi: bool
    def __call__(self, *args: bytes | bytearray | str | float) -> Any:
        """Executes a data command (`call("INCR", key)`) and returns its reply as a Python value: bytes, int, float,
        bool, None, list, dict, set, or a status, which is a `str`. Raises `sherd.CommandError` for an error, TypeError
        for what is no argument, RuntimeError when the command has ended or in another thread."""

@type_check_only
class ExtensionCommand(TypedDict):
    """A command in Python. Its keys are those that the specification names, or what `find_keys` returns, or all."""

    spec: SpecDict
    all_keys: bool
    find_keys: Callable[[list[bytes]], list[bytes]] | None
    invoke: Callable[[Call, list[bytes]], object]

@type_check_only
class ExtensionTask(TypedDict):
    """A job, or with an event a hook. keys: those of a job, None for all; a hook has that of its event, or all.

    A hook is invoked with `[event, key, db]`, a job with an empty list.
    """

    id: int
    name: str
    keys: list[bytes] | None
    all_keys: bool
    event: str | None
    pattern: bytes
    invoke: Callable[[Call, list[Any]], object]

@final
class Server:
    """One engine: shards, IO threads, listeners."""

    def __new__(
        cls,
        *,
        shards: int,
        io_threads: int,
        cluster: bool,
        settings: dict[str, int],
    ) -> Server: ...
    def rename_commands(self, names: list[tuple[bytes, str | None]]) -> None:
        """Has clients call commands by other names: pairs of a name and the command's own, None where the name is to be
        unknown. Once, before `start`."""
    def listen(self, host: str, port: int, backlog: int, tls: bool) -> int:
        """Binds a TCP address, for clients that speak TLS or that do not, and returns the port (useful for port 0).
        OSError as from bind."""

    def listen_unix(self, path: str, mode: int, backlog: int) -> None:
        """Binds a Unix socket; mode 0 leaves the umask's."""

    def set_tls(self, directives: dict[str, str]) -> None:
        """Has new connections to TLS ports served, and new links to primaries made, as the `tls-*` directives say, from
        their names to their values. ValueError with a line for the operator where they cannot be; then all stays as it
        was. Before `listen` with `tls`."""

    def begin_rebind(self) -> None:
        """Begins to replace the TCP listeners: those that `listen` binds from here on may overlap with the present
        ones, and accept nothing before `end_rebind`."""

    def end_rebind(self, keep_new: bool) -> None:
        """Closes the old TCP listeners, whose clients stay connected, or the new ones. The old ones first accept what
        waits there, so their ports are free a moment later."""

    def start(self) -> None:
        """Starts the threads; connections are accepted from now on."""

    def stop(self, at_most_ms: int) -> bool:
        """Stops accepting, lets what executes finish, flushes replies, closes connections, joins, and frees the data.

        Waits for `at_most_ms` milliseconds; False if a command takes longer: the rest then follows when it has ended.
        """

    def begin_save(
        self,
        path: str | PathLike[str],
        *,
        compress: bool,
        checksum: bool,
        sync_in_passing: bool,
        aux: list[tuple[str, str]],
        as_commands: bool = False,
        increment: str | PathLike[str] | None = None,
        history: str | None = None,
    ) -> None:
        """Begins a snapshot of the state at this moment; `finish_save` follows, in a thread that may wait.

        as_commands: the base of an append-only file, as commands instead of a snapshot. increment: the append-only file
        goes on there, or begins, with everything from the same moment on. history: the id of the history of replication
        that the data belong to; the file tells where in it they are. OSError if no file can be made; ValueError if
        a snapshot is being taken already.
        """

    def begin_append(self, path: str | PathLike[str], size_before: int) -> None:
        """Appends everything that is written to a file from now on. `size_before`: bytes of the files before it.
        OSError if it cannot be opened."""

    def set_append_files(self, paths: Sequence[str | PathLike[str]]) -> None:
        """Says which files have all data, in the order in which they are loaded; the last one is being appended to."""

    def end_rewrite(self, base_bytes: int | None) -> None:
        """Says that the last `begin_save` with an increment is over, and how large its base is; None without one."""

    def end_append(self) -> None:
        """Appends nothing more; everything so far is on disk afterwards."""

    def sync_append(self) -> None:
        """Returns when everything that was appended so far is on disk, or the disk refuses it."""

    def append_place(self) -> tuple[int, int, int] | None:
        """Syncs everything that was appended so far. Where in the journal that ends, the database that is selected
        there, and how many bytes the last file has; None where there is no file that has everything."""

    def append_status(self) -> AppendStatus | None:
        """What is known of the append-only file; None where there is none."""

    def load_append(self, path: str | PathLike[str]) -> AppendReport:
        """Loads one file of an append-only directory. Where the report has a fault, what came before it is loaded."""

    def journal_offset(self) -> int:
        """The end in the journal of everything that was executed so far."""

    def finish_save(self) -> tuple[int, int, int]:
        """Writes the snapshot that was begun, and returns when it is on disk: keys, bytes, changes in it.

        Others go on meanwhile. OSError leaves the file that was there.
        """

    def refuse_writes_after_failed_save(self, refuse: bool) -> None:
        """Answers MISCONF to writes, or does so no longer."""

    def cancel_save(self) -> bool:
        """Makes `finish_save` fail in the thread that it runs in; False if there is no snapshot being taken."""

    def save_progress(self) -> tuple[int, int, int] | None:
        """Keys that are saved so far, keys in all, and bytes; None if no snapshot is being taken."""

    def load(self, path: str | PathLike[str], *, keep_expired: bool = False) -> RdbReport:
        """Loads an RDB file into the empty server. Where the report has a fault, what came before it is loaded.

        keep_expired: with keys whose time is over, which are kept as well where the file belongs to a history.
        """

    def set_loading(self, loading: bool) -> None:
        """Answers LOADING to commands that need the data, or no longer; nothing expires or is evicted meanwhile."""

    def load_progress(self) -> tuple[int, int, int]:
        """How far the file is that `load` or `load_append` loads, or has loaded: bytes, keys or commands, and the
        memory that the data took where it was written, 0 where it does not say."""

    def break_off_load(self) -> None:
        """Has `load` and `load_append` return soon, with a part of the data; the server ends."""

    def begin_sync(
        self,
        replicas: list[int],
        *,
        path: str | PathLike[str],
        mark: bytes | None,
        data: bool,
        functions: bool,
        for_valkey: bool,
        compress: bool,
        checksum: bool,
        aux: list[tuple[str, str]],
    ) -> int:
        """Begins a snapshot as `begin_save` does, from whose moment on the replicas are readers of the backlog; returns
        its offset. `finish_save` follows, which writes the file `path`; with `mark`, 40 bytes, it sends the snapshot to
        the replicas instead, and the mark behind it, and fails when they have all gone. data, functions: what is in it.
        for_valkey: in the form of Valkey 9, where Redis 8 has another one.
        """

    def replicas(self) -> Replicas:
        """The primary's side of replication."""

    def hold_writers(self, hold: bool) -> None:
        """Holds clients back that want to write, or no longer, whatever CLIENT PAUSE and CLIENT UNPAUSE say.

        Writes that were let pass before and come to their shard later are refused.
        """

    def await_begun(self, seconds: float) -> bool:
        """Waits until nothing is executed any more that has begun before; false if that takes longer."""

    def link_to_primary(self, descriptor: int, address: str, local_address: str) -> PrimaryLink:
        """Takes over a connected, detached socket whose handshake is done, with the "host:port" of both ends."""

    def tls_to_server(self, descriptor: int, host: str) -> TlsConnection:
        """Takes over a connected, detached socket that does not block, to speak TLS over it with a host."""

    def tls_link_to_primary(self, connection: TlsConnection, address: str, local_address: str) -> PrimaryLink:
        """Takes over a connection whose handshake is done, as `link_to_primary` does."""

    def follow(self, primary: str | None) -> None:
        """Makes this a replica, where nothing expires or is evicted by itself, or one no longer."""

    def refuse_writes_as_replica(self, refuse: bool) -> None:
        """Answers READONLY to writes of clients, or does so no longer."""

    def hide_stale_data(self, hide: bool) -> None:
        """Answers MASTERDOWN to whoever needs the data, or does so no longer."""

    def busy_shards(self) -> list[int]:
        """The shards in which something is executed at this moment."""

    def set_settings(self, values: dict[str, int]) -> bool:
        """Changes settings of the data plane together; False, and no change, if it has none by one of these names, or
        none that takes the value.

        `databases` stays what it was when the server was made (at most 1024, and 1 in cluster mode).
        """

    def change_users(self, users: list[UserDict], deleted: list[bytes]) -> None:
        """Makes users, or puts others in their place, and deletes some, at once; what is sent after this is judged by
        it. The default user is there from the start and stays."""

    def check_access(self, user: bytes, args: list[bytes], db: int) -> tuple[str, int] | None:
        """Why a user may not execute a command line in a database: `database`, `command`, `key` or `channel`, and the
        number of the argument. None if it may. ValueError if there is no such user or command."""

    def access_log(self, count: int) -> list[AccessLogRow]:
        """The newest entries of ACL LOG, newest first."""

    def access_log_reset(self) -> None: ...
    def settings(self) -> dict[str, int]: ...
    def request_fd(self) -> int:
        """Readable when control requests wait; `drain_requests` clears it."""

    def serve_scripts(self, served: bool) -> None:
        """Whether a thread is, or will be, in `next_script_request`."""

    def next_script_request(self) -> Request | None:
        """Waits for a control command that a script calls; `reply` answers it. None when nobody is to answer."""

    def drain_requests(self, limit: int) -> list[Request]: ...
    def drain_interruptions(self) -> list[tuple[int, int, str]]:
        """Clients for whose commands nobody waits any more, which of their waits, and why.

        The reason is "timeout", "unblocked", "role changed" or "gone".
        """

    def take_emptied(self) -> bool:
        """Whether FLUSHALL was executed since the last call. The bell rings for it as for requests."""

    def reply(self, request: Request, data: bytes, close: bool = False) -> None:
        """Answers a request with encoded RESP; once. Nothing happens if the client has gone."""

    def begin_exec(self, request: Request, seconds: float) -> bool | None:
        """Begins a transaction (a request with `queued`): takes its shards and executes data commands up to the first
        control command. False if there is none to answer; `end_exec` follows in any case, in the same thread. None if
        the shards are busy for so long: then nothing was begun."""

    def answer_in_exec(self, request: Request, reply: bytes) -> bool:
        """Takes the encoded reply of the control command that came next and goes on; False after the last one."""

    def end_exec(self, request: Request) -> None:
        """Lets go of the shards and has the client answered. An unfinished transaction ends with an error."""

    def set_extensions(
        self,
        commands: list[ExtensionCommand],
        tasks: list[ExtensionTask],
        *,
        types: tuple[type[Exception], type[str], type[str]],
        failed: Callable[[str, str, BaseException, int], None],
    ) -> list[CommandRow]:
        """Has these commands, jobs and hooks from now on, and no others; returns rows for the command table.

        types: the exception for error replies, and what statuses and errors are as values. failed: called with a
        function's name, the client's address ("" without one), the exception that it has raised, and the number of
        those that were not told before it.
        """

    def watch_extensions(self) -> None:
        """Begins to look after `python-command-timeout-ms`; ends with the engine."""

    def run_extensions(self, threads: int) -> None:
        """Executes commands, jobs and hooks of extensions until the engine stops, in this thread, one of so many."""

    def begin_job(self, number: int) -> bool:
        """Has a job executed; False if it waits already, or is being executed."""

    def call_in_exec(self, request: Request) -> bytes:
        """Executes the extension's command that comes next in the transaction of this thread; returns its reply."""

    def drain_logs(self, limit: int) -> list[tuple[int, float, str, str, dict[str, Any]]]:
        """Log records: (level 0 debug..3 warning 4 critical, Unix time, thread, event, fields)."""

    def execute(self, args: list[bytes], db: int = 0, resp: int = 2) -> bytes:
        """Runs one data command as the control plane (no client, no gate) and returns the encoded reply."""

    def snapshot(self, *, commands: bool = True) -> dict[str, Any]:
        """One consistent-enough picture of all counters; `commands` is empty where it is not asked for:

        uptime_seconds: float; start_time: float (Unix); lru_clock: int; run_id: str; shards, io_threads: int
        memory: {used, peak, startup, active: int}, the last of which is what the allocator's pages take
        clients, net, totals, defragmentation: numbers by name: what the counters of all shards and threads come to that
                  are declared to be shown there (`metrics::catalogue`), and what is no such counter; `clients` has
                  paused_reason: str
        shards_detail, io_detail: a list of the same for each shard and each IO thread, times in seconds
        dbs: list of (db, keys, keys_with_expiry, average_ttl_ms, keys_with_expiring_elements)
        commands: list of (name, calls, nanoseconds, rejected, failed, histogram: list[int]) of commands with any count;
                  the histogram has `histogram_bounds()` buckets
        errors: dict[str, int]
        slowlog: {length, last_id, last_duration_us: int}
        scripts: {cached, text_bytes, evicted, vm_bytes, libraries, functions, library_bytes, function_vm_bytes: int};
            vm_bytes and function_vm_bytes are those of the whole process
        """

    def command_log(self, log: str, count: int) -> list[tuple[int, int, int, list[bytes], str, bytes]]:
        """Newest first: (id, Unix seconds, value, arguments, client address, client name). count < 0: all.

        The value is in microseconds or bytes. log: "slow", "large-request" or "large-reply".
        """

    def command_log_len(self, log: str) -> int: ...
    def command_log_reset(self, log: str) -> None: ...
    def latency(self) -> list[tuple[str, int, list[tuple[int, int]]]]:
        """(event, all-time maximum in ms, samples (Unix seconds, ms) oldest first)."""

    def latency_reset(self, events: list[bytes]) -> int: ...
    def purge(self) -> None:
        """Gives memory that nobody uses back to the system, now or, as far as threads have yet to give it up, soon."""

    def reset_stats(self) -> None:
        """CONFIG RESETSTAT."""

    def hot_keys(self, count: int) -> list[tuple[bytes, int]]:
        """The most frequent keys of the sampled commands with their estimated counts."""

    def dump_keys(self, keys: list[bytes], db: int) -> list[tuple[bytes, int] | None]:
        """DUMP and PEXPIRETIME (-1 is never) of keys at one moment; None for those that are not there."""

    def delete_unchanged(self, keys: list[tuple[bytes, bytes, int]], db: int) -> list[bool]:
        """Removes keys at one moment, each with its DUMP and PEXPIRETIME as `dump_keys` gave them; False for those that
        are others by now and stay. Raises PermissionError with what a write is answered where none may be executed."""

    def big_keys(self) -> list[tuple[bytes, int, int, int, str, int, int]]:
        """(key, shard, db, slot, type, bytes, elements) of the biggest keys of each shard, in no order."""

    def start_hot_keys(self, sample: int, slots: list[int]) -> None:
        """Begins to count what keys cost: one command in `sample`; of all slots if none is named."""

    def stop_hot_keys(self) -> None:
        """Stops counting; what was counted stays."""

    def reset_hot_keys(self) -> None:
        """Stops counting and forgets."""

    def hot_key_costs(self) -> dict[str, Any]:
        """nanoseconds, net_bytes: of all commands with keys in the selected slots; sampled_nanoseconds,
        sampled_net_bytes: of those that were sampled; by_nanoseconds, by_net_bytes: lists of (key, sum)."""

    def slot_key_counts(self, first: int, last: int) -> list[int]:
        """Keys in db 0 of each slot of a range (cluster mode)."""

    def keys_in_slot(self, slot: int, count: int) -> list[bytes]: ...

@final
class TlsConnection:
    """An encrypted connection to another server, to a primary until it is a link. Nothing waits; what fails raises
    ConnectionError."""

    def fileno(self) -> int: ...
    def shake_hands(self) -> bool:
        """Goes on with the handshake; whether it is over. A certificate that is no good is a failure."""

    def send(self, data: bytes) -> int:
        """Sends and keeps; returns the number of bytes that it has taken. `flush` says whether they are all gone."""

    def flush(self) -> bool:
        """Sends what is left; whether nothing is left any more."""

    def receive(self, at_most: int) -> bytes | None:
        """Bytes that have come: None if there are none now, nothing at the end."""

    def close(self) -> None: ...

@final
class PrimaryLink:
    """A connection to a primary. What fails raises ConnectionError with the reason; `close` ends whatever runs."""

    client_id: int
    def receive_snapshot(self, path: str | PathLike[str]) -> int:
        """Receives the snapshot that comes next into a new file; its size in bytes. Waits for it."""

    def receive_snapshot_into(self, descriptor: int) -> int:
        """The same into a file that is open already."""

    def empty(self) -> None:
        """Removes all data."""

    def load(self, path: str | PathLike[str], *, beside: bool = False, serves: bool = False) -> RdbReport:
        """Loads a snapshot in place of all data; clients are answered LOADING meanwhile. With a fault nothing is left.

        beside: the old data are kept until the new ones are complete, and stay where there is a fault. serves: clients
        are answered from them until then, but for what has the flag `no_async_loading`. ConnectionError if the
        snapshot's checksum is wrong; then nothing has happened.
        """

    def begin(self, offset: int, db: int) -> None:
        """Says that the stream comes next, from this offset on, in this database."""

    def run(self) -> list[list[bytes]]:
        """Applies the stream until commands come that the control plane is to execute before this goes on."""

    def close(self) -> None: ...
    def set_timeout(self, seconds: int) -> None:
        """`repl-timeout`."""

    def status(self) -> LinkStatus: ...

@final
class Replicas:
    """The replicas of a server and the backlog that they are fed from. Offsets count bytes of the journal."""

    def prepare(self) -> None:
        """Begin the thread that remembers what is said of the journal; OSError where the system refuses it."""

    def start_backlog(self, offset: int) -> int:
        """Keeps the journal from now on, if that is not done yet; where its bytes were not counted so far, beyond
        `offset`. Returns its end."""

    def stop_backlog(self) -> int:
        """Keeps nothing any more; returns the journal's end."""

    def restart_backlog(self, offset: int, database: int | None) -> None:
        """Goes on counting at an offset whose data this server has, in the database that a primary's stream has
        selected there; without one the next command selects its own."""

    def set_backlog_size(self, size: int) -> None: ...
    def backlog(self) -> tuple[bool, int, int, int]:
        """(whether it is kept, the offset before its first byte, that of its last one, bytes that it takes)."""

    def end_offset(self) -> int:
        """The end of the journal, with all that was executed before this moment."""

    def add_reader(self, client_id: int, position: int) -> bool:
        """Keeps for a client what comes behind an offset; False if that is not all there."""

    def has_readers(self) -> bool:
        """Whether anything is kept for a client, which need not be a replica yet."""

    def attach(
        self,
        token: int,
        client_id: int,
        address: str,
        port: int,
        preamble: bytes,
        *,
        online: bool,
        snapshot_only: bool,
    ) -> None:
        """Makes a client, whose request is being answered, a replica: it gets `preamble` in place of an answer. With
        `online` it goes on in the backlog."""

    def say(self, ids: list[int], text: bytes) -> None:
        """Sends bytes to replicas, before anything else."""

    def send_snapshot(self, ids: list[int], path: str | PathLike[str]) -> None:
        """Sends a file, and the backlog behind it. The file may be removed at once."""

    def cut(self, ids: list[int], reason: str) -> None: ...
    def cut_all(self, reason: str) -> None: ...
    def append(self, words: list[bytes]) -> None:
        """Adds a command to what replicas are sent, but to no file."""

    def rows(self) -> list[tuple[int, str, str, int, str, int, int, int]]:
        """(client id, peer's address, own address, own port, state, acknowledged, synced, seconds of silence)."""

    def totals(self) -> tuple[int, int]:
        """Replicas that count for `min-replicas-to-write`, and bytes that were sent to all."""

    def news_fd(self) -> int:
        """Readable when a replica has acknowledged something, has come or gone; `silence_news` clears it."""

    def set_follows(self, follows: bool) -> None:
        """Says whether what is written comes from a primary."""

    def want_news(self, wanted: bool) -> None: ...
    def silence_news(self) -> None: ...

@type_check_only
class LinkStatus(TypedDict):
    """How far a link to a primary has come.

    applied, received: offsets of the stream, -1 until it begins. diverged: only a whole snapshot can mend the data.
    """

    applied: int
    received: int
    db: int
    idle_seconds: int
    snapshot_bytes: int
    snapshot_total: int
    loaded_bytes: int
    load_total: int
    diverged: bool
    failed_commands: int
    input_bytes: int
    output_bytes: int

@type_check_only
class SelectorDict(TypedDict):
    """A set of rights; None is all of them."""

    commands: list[int] | None
    """Numbers of the command table."""
    first_arguments: list[tuple[int, list[bytes]]]
    """First arguments with which commands may be called that are not among them."""
    keys: list[tuple[bytes, bool, bool]] | None
    """(pattern, may be read, may be written)."""
    channels: list[bytes] | None
    databases: list[int] | None

@type_check_only
class UserDict(TypedDict):
    """A user as the data plane checks it."""

    name: bytes
    enabled: bool
    nopass: bool
    passwords: list[bytes]
    """SHA-256 digests."""
    selectors: list[SelectorDict]

@type_check_only
class AccessLogRow(TypedDict):
    """An entry of ACL LOG."""

    id: int
    count: int
    reason: str
    context: str
    object: bytes
    username: bytes
    client: str
    age_ms: int
    created_ms: int
    updated_ms: int

@type_check_only
class RdbReport(TypedDict):
    """What an RDB file told.

    fault: where in the file, the key that was being read, and what is wrong there.
    """

    version: int
    valkey: bool
    aux: list[tuple[str, str]]
    functions: list[bytes]
    keys: int
    volatile: int
    expired: int
    empty: int
    checksum: bool
    fault: tuple[int, bytes | None, str] | None

@type_check_only
class AppendStatus(TypedDict):
    """Numbers of the append-only file.

    size: bytes of all its files; increment: of the last one. written, synced: offsets in the journal, of
    which the second is None while the files do not have all data. error: of the last write or sync, 0 if it worked.
    needs_base: only a rewrite makes it trustworthy again.
    """

    size: int
    increment: int
    pending: int
    written: int
    synced: int | None
    error: int
    needs_base: bool
    delayed_syncs: int
    syncing: bool

@type_check_only
class AppendReport(TypedDict):
    """What one file of an append-only directory had.

    snapshot: it begins with one, of so many keys. others: commands of the control plane with their databases. valid:
    bytes up to which all is whole. late: where it is later than was asked for. fault: as in RdbReport.
    """

    commands: int
    keys: int
    functions: list[bytes]
    others: list[tuple[int, list[bytes]]]
    valid: int
    failed: int
    first_error: str | None
    truncated: bool
    size: int
    snapshot: bool
    late: int | None
    fault: tuple[int, bytes | None, str] | None

@final
class CheckProgress:
    """How far `check_append` or `check_rdb` is, for other threads."""

    def __new__(cls) -> CheckProgress: ...
    def bytes(self) -> tuple[int, int]:
        """Bytes that were looked through, and all of the file; 0 before it begins."""

def check_append(path: str | PathLike[str], progress: CheckProgress, later_than: int | None = None) -> AppendReport:
    """Looks through one file of an append-only directory; OSError if it cannot be read."""

def check_rdb(path: str | PathLike[str], progress: CheckProgress) -> RdbReport:
    """Looks through an RDB file; OSError if it cannot be read."""

def histogram_bounds() -> list[int]:
    """Exclusive upper bounds of the latency histogram's buckets in nanoseconds."""
