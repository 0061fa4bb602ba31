"""Configuration: one table of parameters, read as Redis reads redis.conf, changed while the server runs.

# Layout
- `table/`: the rows, by topic; `parameter`: what a row is
- `kinds`, `special_kinds`: kinds of value, how each is parsed, printed and rewritten
- `lexer`: quoting of a configuration line
- `store`: `Config`, the values in use; `load`: file < environment < command line; `rewrite`: CONFIG REWRITE
- `renames`, `user_line`: directives that are no parameters
- `check`: all that is wrong with a configuration, for `check-config`
- `cores`: how many threads by default; `control_group`: what a container's limit of memory means for `maxmemory`
"""

from sherd.config.check import NOTHING_SAVED, Finding, check_config, refuse_contradictions
from sherd.config.kinds import Value
from sherd.config.load import did_you_mean, load_config
from sherd.config.parameter import ConfigParam
from sherd.config.rewrite import rewrite_config
from sherd.config.store import Config, Source
from sherd.config.table import BY_NAME, PARAMETERS, TOPICS
from sherd.config.user_line import UserLine

__all__ = [
    "BY_NAME",
    "NOTHING_SAVED",
    "PARAMETERS",
    "TOPICS",
    "Config",
    "ConfigParam",
    "Finding",
    "Source",
    "UserLine",
    "Value",
    "check_config",
    "did_you_mean",
    "load_config",
    "refuse_contradictions",
    "rewrite_config",
]
