"""CONFIG: read, change and write back the configuration."""

from __future__ import annotations

from sherd.config import BY_NAME, PARAMETERS, Config, rewrite_config
from sherd.errors import SYNTAX_ERROR, CommandError, ConfigRewriteError, ConfigSetError
from sherd.families.data_plane import DataPlane
from sherd.log import get_logger
from sherd.observability.node import Node
from sherd.resp import OK, Reply, Simple
from sherd.spec import Request, Secret, command, container

_log = get_logger()
_ADMIN = "admin noscript loading stale"
_ON_ALL_NODES = ("request_policy:all_nodes", "response_policy:all_succeeded")

container(
    "config",
    group="server",
    since="2.0.0",
    summary="Groups the commands that read and change the configuration.",
    complexity="Depends on subcommand.",
)


@command(
    "config|get",
    reads="config",
    arity=-3,
    flags=_ADMIN,
    group="server",
    since="2.0.0",
    summary="Returns the values in use of the parameters that match any of the patterns.",
    complexity="O(N) when N is the number of configuration parameters provided",
    syntax="parameter [parameter ...]",
    history=(("7.0.0", "Several patterns in one call."),),
)
def config_get(request: Request) -> Reply:
    """A map from names to values; a parameter that matches twice comes once."""
    return request.services.get(Config).matching(request.args[2:])


@command(
    "config|set",
    arity=-4,
    flags=_ADMIN,
    group="server",
    since="2.0.0",
    summary="Changes parameters while the server runs, all of them or none.",
    complexity="O(N) when N is the number of configuration parameters provided",
    syntax="parameter value [parameter value ...]",
    history=(("7.0.0", "Several parameters in one call."),),
    tips=_ON_ALL_NODES,
    secrets=tuple(
        Secret(name, start=2, step=2)
        for param in PARAMETERS
        if param.sensitive
        for name in (param.name, *param.aliases)
    ),
)
def config_set(request: Request) -> Reply:
    """OK once every value is in force."""
    words = request.args[2:]
    if len(words) % 2:
        raise CommandError(SYNTAX_ERROR)
    pairs = list(zip(words[::2], words[1::2], strict=True))
    try:
        request.services.get(Config).set_many(pairs, local_client=request.local_client)
    except ConfigSetError as error:
        raise CommandError(f"ERR {error}") from error
    # Names only: values may be secrets.
    names = [name.decode("ascii", "backslashreplace").lower() for name, _ in pairs]
    _log.info("configuration changed", parameters=" ".join(names), client=request.addr)
    ignored = [name for name in names if BY_NAME[name].inert]
    if ignored:
        _log.warning(
            "parameters without effect in this version were set", parameters=" ".join(ignored), client=request.addr
        )
    return OK


@command(
    "config|rewrite",
    arity=2,
    flags=_ADMIN,
    group="server",
    since="2.8.0",
    summary="Writes the configuration in use to the file that the server was started with.",
    complexity="O(1)",
    tips=_ON_ALL_NODES,
)
def config_rewrite(request: Request) -> Reply:
    """OK once the new file has taken the old one's place on disk."""
    try:
        rewrite_config(request.services.get(Config))
    except ConfigRewriteError as error:
        raise CommandError(f"ERR {error}") from error
    _log.info("configuration file rewritten", client=request.addr)
    return OK


@command(
    "config|resetstat",
    arity=2,
    flags=_ADMIN,
    group="server",
    since="2.0.0",
    summary="Sets the counters of INFO back to zero.",
    complexity="O(1)",
    tips=_ON_ALL_NODES,
)
def config_resetstat(request: Request) -> Reply:
    """OK; gauges such as connected clients keep their values."""
    request.services.get(DataPlane).reset_stats()
    node = request.services.get(Node)
    node.sampler.reset()
    node.replication.reset_counts()
    return OK


@command(
    "config|help",
    arity=2,
    flags="loading stale",
    group="server",
    since="5.0.0",
    summary="Describes the subcommands.",
    complexity="O(1)",
)
def config_help(request: Request) -> Reply:
    """Lines of text."""
    return [Simple(line) for line in _HELP]


_HELP = (
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern> [<pattern> ...]",
    "    Return the parameters that match a glob-like <pattern> and their values.",
    "SET <directive> <value> [<directive> <value> ...]",
    "    Change parameters; all of them or none.",
    "RESETSTAT",
    "    Set the counters of the INFO command back to zero.",
    "REWRITE",
    "    Write the configuration in use to the configuration file.",
    "HELP",
    "    Print this help.",
)
