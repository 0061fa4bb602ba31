"""A user and its sets of rights as data, and how they are written as rules.

A user's first selector, the root, has what its rules say outside of parentheses. What commands a selector allows is
kept twice: as numbers, which the data plane gets, and as the rules that led there, which are what an operator wrote and
wants to read again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from enum import IntFlag

from sherd.record import field, record


class Uses(IntFlag):
    """What may be done to keys."""

    READ = 1
    WRITE = 2
    BOTH = 3


_PREFIXES = {Uses.BOTH: b"~", Uses.READ: b"%R~", Uses.WRITE: b"%W~"}


@record(frozen=False)
class Selector:
    """One set of rights. Where `all_...` holds, the collection beside it is empty.

    starts_with_all: the rules begin with `+@all`, so that commands which are yet to come are allowed as well.
    command_rules: those that followed, without the ones that a later one has made meaningless.
    first_arguments: by the number of a command that is not allowed otherwise.
    """

    all_keys: bool = False
    keys: dict[bytes, Uses] = field(default_factory=dict)
    all_channels: bool = False
    channels: list[bytes] = field(default_factory=list)
    all_databases: bool = True
    databases: set[int] = field(default_factory=set)
    starts_with_all: bool = False
    commands: set[int] = field(default_factory=set)
    first_arguments: dict[int, list[bytes]] = field(default_factory=dict)
    command_rules: list[bytes] = field(default_factory=list)

    def describe_commands(self) -> bytes:
        """The rules about commands: `+@all -debug`."""
        return b" ".join([b"+@all" if self.starts_with_all else b"-@all", *self.command_rules])

    def describe_keys(self, *, in_file: bool = False) -> bytes:
        """The rules about keys: `~a* %R~b*`. In a file a pattern of all keys beside others is `%RW~*`, as where it is
        read nothing may follow `~*`."""
        if self.all_keys:
            return b"~*"
        words = [_PREFIXES[uses] + pattern for pattern, uses in self.keys.items()]
        return b" ".join(b"%RW~*" if in_file and word == b"~*" else word for word in words)

    def describe_channels(self) -> bytes:
        """The rules about channels: `&a* &b*`."""
        return b"&*" if self.all_channels else b" ".join(b"&" + pattern for pattern in self.channels)

    def describe_databases(self) -> bytes:
        """The rule about databases: `db=0,2`, nothing where there are none."""
        if self.all_databases:
            return b"alldbs"
        return b"db=" + b",".join(b"%d" % database for database in sorted(self.databases)) if self.databases else b""

    def words(self, *, in_file: bool = False) -> Iterator[bytes]:
        """All rules, as ACL LIST writes them. That all databases are allowed is what nobody has to say."""
        if keys := self.describe_keys(in_file=in_file):
            yield keys
        if not self.all_channels:
            yield b"resetchannels"
        if channels := self.describe_channels():
            yield channels
        if not self.all_databases:
            yield self.describe_databases() or b"resetdbs"
        yield self.describe_commands()


@record(frozen=False)
class User:
    """See the module. passwords: SHA-256 digests in hexadecimal digits, in the order in which they were set."""

    name: bytes
    enabled: bool = False
    nopass: bool = False
    sanitize_payload: bool = True
    passwords: list[bytes] = field(default_factory=list)
    selectors: list[Selector] = field(default_factory=lambda: [Selector()])

    @property
    def root(self) -> Selector:
        """What the rules outside of parentheses say."""
        return self.selectors[0]

    def copy(self) -> User:
        """A copy to try changes on."""
        return copy.deepcopy(self)

    def flags(self) -> list[bytes]:
        """What holds for the user as a whole, in the order in which it is told."""
        told = (
            (b"on", self.enabled),
            (b"off", not self.enabled),
            (b"nopass", self.nopass),
            (b"skip-sanitize-payload", not self.sanitize_payload),
            (b"sanitize-payload", self.sanitize_payload),
        )
        return [flag for flag, holds in told if holds]

    def describe(self, *, in_file: bool = False) -> bytes:
        """All rules, in the form of ACL LIST; as they are for a file, they make the same user of a new one."""
        words = [*self.flags(), *(b"#" + digest for digest in self.passwords), *self.root.words(in_file=in_file)]
        words += [b"(" + b" ".join(selector.words(in_file=in_file)) + b")" for selector in self.selectors[1:]]
        return b" ".join(words)
