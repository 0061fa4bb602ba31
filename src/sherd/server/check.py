"""What is wrong with a configuration that takes the parts of a server to tell, for `check-config`.

They are asked in the order of a start. No thread is started, no address bound, no data read; modules of commands in
Python are loaded, for what they declare may be wrong, and users may have rights to it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sherd import native
from sherd.acl import Catalogue, configured_users, rule_book
from sherd.config import Config
from sherd.errors import SherdError
from sherd.extensions.manager import Extensions
from sherd.families.command_table import CommandTable
from sherd.server.commands import configured_renames, declare_commands, load_extensions
from sherd.server.tls import set_up_tls


def findings(config: Config) -> Iterator[str]:
    """A line for each mistake, as a start would tell it."""
    declare_commands()
    engine = native.Server(shards=1, io_threads=1, cluster=False, settings={})
    parts = _Parts(config, engine)
    try:
        for check in (parts.check_commands, parts.check_users, parts.check_tls, parts.check_page):
            try:
                check()
            except SherdError as error:
                yield str(error)
    finally:
        engine.stop(0)


class _Parts:
    """Each method raises SherdError where a server with this configuration would not start."""

    def __init__(self, config: Config, engine: native.Server) -> None:
        self._config = config
        self._engine = engine
        self._read_rows = functools.cache(native.command_table)
        self._rows: Sequence[Mapping[str, Any]] | None = None

    def check_commands(self) -> None:
        commands = CommandTable(self._read_rows, configured_renames(self._config, self._read_rows))
        rows: list[Mapping[str, Any]] = []
        load_extensions(
            Extensions(self._engine, self._config.get_tuple("python-commands"), commands.is_own, rows.extend)
        )
        self._rows = rows

    def check_users(self) -> None:
        config = self._config
        # Where commands in Python are not known, their names in rules are no mistakes.
        if self._rows is None or not (config.user_lines or config.get_str("aclfile")):
            return
        catalogue = Catalogue(native.command_count(), self._read_rows)
        catalogue.learn(self._rows)
        configured_users(config, rule_book(catalogue, config))

    def check_tls(self) -> None:
        set_up_tls(self._engine, self._config)

    def check_page(self) -> None:
        if self._config.get_int("metrics-port") and self._config.get_bool("metrics-tls"):
            from sherd.observability.page_access import server_context

            server_context(self._config)
