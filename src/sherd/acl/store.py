"""All users of a server: changed in the control plane's thread, and pushed down with each change before its answer.

Where users come from: `requirepass` sets the default user's password, `user` lines of the configuration come after
that, and an `aclfile` replaces both. ACL SAVE and ACL LOAD are about the file; without one, CONFIG REWRITE writes
`user` lines, as users are at that moment. The default user has a line only where it is not what `requirepass` makes of
it: a password stands in one place, so that another one there, from a file or the environment, is the one that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sherd.acl.catalogue import Catalogue
from sherd.acl.compiled import compile_user
from sherd.acl.files import read_user_file, read_user_lines, user_lines, write_user_file
from sherd.acl.rules import RuleBook, RuleError, merge_selectors
from sherd.acl.user import User
from sherd.config import Config
from sherd.errors import ConfigError
from sherd.log import get_logger

if TYPE_CHECKING:
    from sherd import native

_log = get_logger()
DEFAULT = b"default"


class ModifierError(RuleError):
    """A rule of ACL SETUSER that makes no sense; the text is the reply after `ERR `."""

    def __init__(self, rule: bytes, error: RuleError) -> None:
        super().__init__(f"Error in ACL SETUSER modifier '{rule.decode('utf-8', 'surrogateescape')}': {error}")


def rule_book(catalogue: Catalogue, config: Config) -> RuleBook:
    """Rules as a configuration has them."""
    return RuleBook(catalogue, lambda: config.get_str("acl-pubsub-default") == "allchannels")


def configured_users(config: Config, book: RuleBook) -> dict[bytes, User]:
    """All users that a configuration makes; raises SherdError with one line for the operator."""
    has_file = _user_file(config) is not None
    if has_file and config.user_lines:
        raise ConfigError(
            "users are defined both in the configuration and by aclfile, which is likely to be a mistake: "
            "use either of them"
        )
    if has_file:
        return _users_of_file(config, book)
    return {DEFAULT: _default_user(config, book)} | read_user_lines(config.user_lines, book)


def _user_file(config: Config) -> Path | None:
    name = config.get_str("aclfile")
    return Path(config.get_str("dir")) / name if name else None


def _users_of_file(config: Config, book: RuleBook) -> dict[bytes, User]:
    file = _user_file(config)
    assert file is not None
    users = read_user_file(file, config.get_str("aclfile"), book)
    users.setdefault(DEFAULT, book.default_user())
    return users


def _default_user(config: Config, book: RuleBook) -> User:
    """The default user that `requirepass` makes."""
    default = book.default_user()
    _set_password(default, config, book)
    return default


def _set_password(default: User, config: Config, book: RuleBook) -> None:
    password = config.get_str("requirepass").encode("utf-8", "surrogateescape")
    book.apply(default, b"resetpass")
    book.apply(default, b">" + password if password else b"nopass")


class AccessControl:
    """See the module."""

    def __init__(self, engine: native.Server, catalogue: Catalogue, config: Config) -> None:
        self.catalogue = catalogue
        self._engine = engine
        self._config = config
        self._book = rule_book(catalogue, config)
        self._users: dict[bytes, User] = {DEFAULT: self._book.default_user()}

    # ---- reading

    def all(self) -> list[User]:
        """All users, by their names."""
        return [self._users[name] for name in sorted(self._users)]

    def find(self, name: bytes) -> User | None:
        """A user by its name."""
        return self._users.get(name)

    @property
    def file(self) -> Path | None:
        """The `aclfile`, if there is one."""
        return _user_file(self._config)

    # ---- where users come from

    def load_at_start(self) -> None:
        """Take the users that the configuration names; raises SherdError with one line for the operator."""
        self._users = configured_users(self._config, self._book)
        if self.file is not None and self._config.get_str("requirepass"):
            _log.warning("requirepass has no effect, as users are loaded from a file", aclfile=str(self.file))
        self._push(self._users.values(), [])
        for user in self.all():
            if not user.enabled:
                _log.info("a user is disabled, as there is no 'on' in its rules", user=_shown(user.name))

    def set_default_password(self) -> None:
        """`requirepass` has changed: it is the default user's only password, or there is none."""
        _set_password(self._users[DEFAULT], self._config, self._book)
        self._push([self._users[DEFAULT]], [])
        if any(line.words[0] == _shown(DEFAULT) for line in self._config.user_lines):
            self._note_change()

    def reload(self) -> None:
        """ACL LOAD: all users are those of the file; raises UserListError, and nothing changes then."""
        users = _users_of_file(self._config, self._book)
        gone = [name for name in self._users if name not in users]
        self._users = users
        self._push(users.values(), gone)

    def save(self) -> None:
        """ACL SAVE; OSError if the file cannot be written."""
        assert self.file is not None
        write_user_file(self.file, self.all())

    # ---- changing

    def set_user(self, name: bytes, words: Sequence[bytes]) -> None:
        """ACL SETUSER: all rules take effect, or none. Raises RuleError with the reply after `ERR `."""
        rules = merge_selectors(words)
        known = self._users.get(name)
        user = known.copy() if known is not None else self._book.new_user(name)
        for rule in rules:
            try:
                self._book.apply(user, rule)
            except RuleError as error:
                raise ModifierError(rule, error) from error
        self._users[name] = user
        self._push([user], [])
        self._note_change()

    def learn(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Know commands of extensions that were loaded meanwhile. Whose rules begin with all commands may execute
        them as well."""
        before = self.catalogue.ids
        self.catalogue.learn(rows)
        for user in self._users.values():
            for selector in user.selectors:
                if selector.starts_with_all:
                    selector.commands |= self.catalogue.ids - before
        self._push(self._users.values(), [])

    def delete(self, names: Iterable[bytes]) -> int:
        """ACL DELUSER: how many there were. Their clients are cut."""
        gone = [name for name in dict.fromkeys(names) if self._users.pop(name, None) is not None]
        if gone:
            self._push([], gone)
            self._note_change()
        return len(gone)

    def _push(self, users: Iterable[User], deleted: list[bytes]) -> None:
        self._engine.change_users([compile_user(user, self.catalogue) for user in users], deleted)

    def _note_change(self) -> None:
        if self.file is None:
            self._config.changed_user_lines = self._lines

    def _lines(self) -> list[str]:
        made_by_password = _default_user(self._config, self._book).describe(in_file=True)
        return user_lines(
            user for user in self.all() if user.name != DEFAULT or user.describe(in_file=True) != made_by_password
        )

    # ---- asking the data plane

    def check(self, name: bytes, words: list[bytes], database: int) -> tuple[str, int] | None:
        """Why a user may not execute a command line, and the number of the argument; None if it may."""
        return self._engine.check_access(name, words, database)

    def log(self, count: int) -> list[native.AccessLogRow]:
        """The newest entries of what was denied."""
        return self._engine.access_log(count)

    def reset_log(self) -> None:
        """Forget what was denied."""
        self._engine.access_log_reset()


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
