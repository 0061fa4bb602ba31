"""Commands of the control plane: what one is, and the decorator that declares it beside its handler.

One `CommandSpec` feeds the arity check, the gate, ACL, COMMAND, COMMAND DOCS, the metrics and the reference docs. A
control family declares a command where it implements it:

    @command("config|get", arity=-3, flags="admin noscript loading stale", group="server", since="2.0.0",
             summary="...", syntax="parameter [parameter ...]")
    def config_get(request: Request) -> Reply: ...

Data commands are declared in Rust, where both tables are joined and all is derived that follows from a spec: ACL
categories, the legacy first/last/step triple of keys, the order of flags. What Python says here goes there as it is.

Rejected: a class a command (forty lines around a five-line handler), and a table apart from the handlers (a family
would be edited in two places).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sherd.record import field, record

if TYPE_CHECKING:
    import asyncio

    from sherd.resp import Reply


@record
class KeySpec:
    """Where one group of keys stands in a command.

    begin: ("index", pos) or ("keyword", word, start) or ("unknown",)
    find: ("range", last, step, limit) or ("keynum", keynumidx, firstkey, step) or ("unknown",)
    flags: Redis' key flags, e.g. ("RW", "access", "update").
    """

    begin: tuple[str | int, ...]
    find: tuple[str | int, ...]
    flags: tuple[str, ...] = ()


@record
class Secret:
    """Arguments that MONITOR and the slow log do not show: `count` of them behind each `word`.

    The word is looked for, in either case, at argument `start` and every `step`-th one from there.
    """

    word: str
    start: int
    count: int = 1
    step: int = 1


@record
class CommandSpec:
    """Everything that is known of one command without running it.

    name: lower case, `container|subcommand` for a subcommand; arity counts the name (and the subcommand), negative
    means "at least". `acl` are categories besides those that follow from flags and group. `history` and `deprecated`
    pair a version with what changed, and with the successor; `system` commands are not meant for applications. `syntax`
    is the compact form that `sherd.syntax` reads. `shards`: the handler takes shards of the data plane, so a script,
    which holds some, cannot call it. `reads` says what the reply depends on: "nothing", "config" (the
    configuration alone) or "data" (anything). A transaction holds the shards for commands of the last kind only.
    `waits`: says, of a whole command, whether the handler waits, where that depends on its arguments. A handler that
    always does is a coroutine function.
    """

    name: str
    arity: int
    summary: str
    group: str
    since: str
    flags: tuple[str, ...] = ()
    acl: tuple[str, ...] = ()
    key_specs: tuple[KeySpec, ...] = ()
    syntax: str = ""
    complexity: str = ""
    history: tuple[tuple[str, str], ...] = ()
    tips: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    deprecated: tuple[str, str] | None = None
    system: bool = False
    reads: str = "data"
    shards: bool = False
    waits: Callable[[Sequence[bytes]], bool] | None = None

    @property
    def container(self) -> str:
        """The command that this is a subcommand of, or ""."""
        return self.name.rpartition("|")[0]


Instance = TypeVar("Instance")


class Services:
    """What handlers need of the running server, found by type: `request.services.get(Config)`.

    A bag keyed by type keeps `spec` below every layer that provides a service, and lets a test provide one only.
    """

    __slots__ = ("_instances",)

    def __init__(self, *instances: object) -> None:
        self._instances: dict[type[Any], object] = {}
        for instance in instances:
            self.add(instance)

    def add(self, instance: object, as_type: type[Any] | None = None) -> None:
        """Provide `instance` under its own class, or under a base class of it."""
        self._instances[as_type or type(instance)] = instance

    def get(self, wanted: type[Instance]) -> Instance:
        """The instance provided for `wanted`; a missing one is a mistake in the server's start, not in a request."""
        instance = self._instances.get(wanted)
        assert isinstance(instance, wanted), f"no {wanted.__name__} is provided"
        return instance


@record(frozen=False)
class Request:
    """One command that the data plane handed up.

    token: what the answer is addressed to. args: the whole command, its name included, as it came. addr, local_addr:
    "host:port" of both ends of the connection. in_multi: run by EXEC. interruption: of a command that blocks; done when
    nobody waits for it any more.
    """

    token: int
    client_id: int
    args: list[bytes]
    db: int = 0
    resp: int = 2
    addr: str = ""
    local_addr: str = ""
    user: str = "default"
    in_multi: bool = False
    interruption: asyncio.Future[str] | None = None
    services: Services = field(default_factory=Services)

    @property
    def local_client(self) -> bool:
        """Whether the client is on this host: by the loopback interface or a Unix socket."""
        return self.addr.startswith(("127.", "[::1]:", "::1:", "/"))


Handler = Callable[[Request], "Reply | Awaitable[Reply]"]
HandlerType = TypeVar("HandlerType", bound=Handler)


@record
class RegisteredCommand:
    """A spec and what runs it; a container such as CONFIG has no handler of its own."""

    spec: CommandSpec
    handler: Handler | None


_registry: dict[str, RegisteredCommand] = {}


def command(name: str, **attributes: Any) -> Callable[[HandlerType], HandlerType]:
    """Declare a control-plane command; the attributes are `CommandSpec`'s, flags and acl as words in one string."""
    spec = make_spec(name, **attributes)

    def register(handler: HandlerType) -> HandlerType:
        _add(RegisteredCommand(spec, handler))
        return handler

    return register


def container(name: str, **attributes: Any) -> None:
    """Declare a command that only has subcommands."""
    _add(RegisteredCommand(make_spec(name, arity=-2, **attributes), None))


def make_spec(name: str, *, flags: str = "", acl: str = "", **attributes: Any) -> CommandSpec:
    """A spec of words in strings; the data plane, which has the lists of flags and categories, refuses unknown ones."""
    if name.endswith("|help"):
        attributes["reads"] = "nothing"
    return CommandSpec(name=name, flags=tuple(flags.split()), acl=tuple(acl.split()), **attributes)


def declared_specs() -> list[dict[str, Any]]:
    """Every declared spec in the form that the data plane's `register_commands` takes."""
    return [_native_form(entry) for _, entry in sorted(_registry.items())]


def _native_form(entry: RegisteredCommand) -> dict[str, Any]:
    spec = entry.spec
    return {
        "name": spec.name,
        "summary": spec.summary,
        "since": spec.since,
        "history": list(spec.history),
        "deprecated": spec.deprecated,
        "system": spec.system,
        "complexity": spec.complexity,
        "group": spec.group,
        "arity": spec.arity,
        "flags": list(spec.flags),
        "categories": list(spec.acl),
        "keys": [(" ".join(keys.flags), keys.begin, keys.find) for keys in spec.key_specs],
        "syntax": spec.syntax,
        "tips": list(spec.tips),
        "secrets": [(secret.word, secret.start, secret.step, secret.count) for secret in spec.secrets],
        "container": entry.handler is None,
    }


def _add(entry: RegisteredCommand) -> None:
    assert entry.spec.name not in _registry, f"{entry.spec.name} is declared twice"
    _registry[entry.spec.name] = entry


def registered_commands() -> Mapping[str, RegisteredCommand]:
    """Every control-plane command declared by the modules imported so far, by name."""
    return _registry
