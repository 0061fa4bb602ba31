"""One rule applied to a user: `on`, `>password`, `+@read`, `~key*`, `(+get ~other*)`.

A rule changes the user that it is given, or raises RuleError, whose text is the references' own. Several rules that
must take effect together are tried on a copy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from sherd.acl.catalogue import Catalogue
from sherd.acl.user import Selector, User, Uses
from sherd.config.lexer import UnbalancedQuotesError, split_words
from sherd.errors import SherdError

_DIGEST = re.compile(rb"[0-9a-f]{64}")
_SPACE = re.compile(rb"[\s\x00]")
_DATABASE = re.compile(rb"-?[0-9]+")
_DATABASE_DIGITS_MAX = 11
_DATABASE_MAX = 2**31 - 1


class RuleError(SherdError):
    """A rule that makes no sense; the text says why, without the rule."""

    is_unknown_name = False


class UnknownNameError(RuleError):
    """A rule about a command or category that does not exist."""

    is_unknown_name = True

    def __init__(self) -> None:
        super().__init__("Unknown command or category name in ACL")


def _syntax_error() -> RuleError:
    return RuleError("Syntax error")


def _after_star(kind: str, reset: str, what: str) -> RuleError:
    return RuleError(
        f"Adding a pattern after the * pattern (or the '{kind}' flag) is not valid and does not have any effect. "
        f"Try '{reset}' to start with an empty list of {what}"
    )


def has_spaces(text: bytes) -> bool:
    """Whether a text has what a name or a pattern must not have, as rules are told apart by it."""
    return _SPACE.search(text) is not None


def digest_of(password: bytes) -> bytes:
    """The SHA-256 of a password in hexadecimal digits, which is all that is kept of it."""
    import hashlib  # loads a large library

    return hashlib.sha256(password).hexdigest().encode()


def merge_selectors(words: Iterable[bytes]) -> list[bytes]:
    """Rules with each selector, which may be spread over several words, as one; raises UnmatchedParenthesisError."""
    merged: list[bytes] = []
    opened: list[bytes] = []
    for word in words:
        if opened:
            opened.append(word)
        elif word.startswith(b"(") and not word.endswith(b")"):
            opened = [word]
        else:
            merged.append(word)
            continue
        if len(opened) > 1 and word.endswith(b")"):
            merged.append(b" ".join(opened))
            opened = []
    if opened:
        raise UnmatchedParenthesisError(opened[0])
    return merged


class UnmatchedParenthesisError(RuleError):
    """A selector that does not end."""

    def __init__(self, word: bytes) -> None:
        self.word = word
        super().__init__(
            f"Unmatched parenthesis in acl selector starting at '{word.decode('utf-8', 'surrogateescape')}'."
        )


class RuleBook:
    """Applies rules; new selectors may use all channels if the configuration says so."""

    def __init__(self, catalogue: Catalogue, all_channels_by_default: Callable[[], bool]) -> None:
        self._catalogue = catalogue
        self._all_channels_by_default = all_channels_by_default

    def new_user(self, name: bytes) -> User:
        """A user that may do nothing and cannot log in."""
        return User(name, selectors=[self._new_selector()])

    def default_user(self) -> User:
        """The default user as it is without any rule."""
        user = self.new_user(b"default")
        for rule in (b"+@all", b"~*", b"&*", b"on", b"nopass"):
            self.apply(user, rule)
        return user

    def _new_selector(self) -> Selector:
        return Selector(all_channels=self._all_channels_by_default())

    def apply(self, user: User, rule: bytes) -> None:
        """Change a user as one rule says."""
        plain = _USER_RULES.get(rule.lower())
        if not rule:
            return
        if plain is not None:
            plain(user)
        elif rule.lower() == b"reset":
            self._reset(user)
        elif rule[:1] in b">#<!":
            _apply_password(user, rule)
        elif rule.startswith(b"(") and rule.endswith(b")"):
            user.selectors.append(self._selector(rule[1:-1]))
        else:
            self._apply_to(user.root, rule)

    def _reset(self, user: User) -> None:
        fresh = self.new_user(user.name)
        user.enabled, user.nopass, user.sanitize_payload = fresh.enabled, fresh.nopass, fresh.sanitize_payload
        user.passwords, user.selectors = fresh.passwords, fresh.selectors

    def _selector(self, text: bytes) -> Selector:
        selector = self._new_selector()
        for rule in _split(text):
            self._apply_to(selector, rule)
        return selector

    def _apply_to(self, selector: Selector, rule: bytes) -> None:
        word = rule.lower()
        if (plain := _SELECTOR_RULES.get(word)) is not None:
            plain(selector)
        elif word in (b"allcommands", b"+@all"):
            selector.starts_with_all, selector.commands = True, set(self._catalogue.ids)
            selector.first_arguments, selector.command_rules = {}, []
        elif word in (b"nocommands", b"-@all"):
            selector.starts_with_all, selector.commands = False, set()
            selector.first_arguments, selector.command_rules = {}, []
        elif word.startswith(b"db="):
            _apply_databases(selector, rule[3:])
        elif rule[:1] in (b"~", b"%"):
            _apply_keys(selector, rule)
        elif rule[:1] == b"&":
            _apply_channels(selector, rule[1:])
        elif rule[:1] in (b"+", b"-"):
            self._apply_command(selector, rule[1:], allow=rule[:1] == b"+")
        else:
            raise _syntax_error()

    def _apply_command(self, selector: Selector, name: bytes, *, allow: bool) -> None:
        if has_spaces(name):
            raise _syntax_error()
        if name.startswith(b"@"):
            ids = self._catalogue.category(name[1:])
            if ids is None:
                raise UnknownNameError
            _switch(selector, ids, allow=allow)
            _note(selector, name.lower(), allow=allow)
            return
        command = self._catalogue.find(name)
        if command is not None:
            _switch(selector, command.family, allow=allow)
            _note(selector, command.name, allow=allow)
        elif allow and b"|" in name:
            self._allow_first_argument(selector, name)
        else:
            raise UnknownNameError

    def _allow_first_argument(self, selector: Selector, name: bytes) -> None:
        """`+select|0`: a command that is not allowed otherwise, with this as its first argument."""
        container, _, argument = name.rpartition(b"|")
        command = self._catalogue.find(container)
        if command is None:
            raise UnknownNameError
        if command.is_subcommand:
            raise RuleError("Allowing first-arg of a subcommand is not supported")
        if not argument:
            raise _syntax_error()
        if command.is_container:
            raise UnknownNameError
        arguments = selector.first_arguments.setdefault(command.id, [])
        if argument.lower() not in (known.lower() for known in arguments):
            arguments.append(argument)
        _note(selector, name.lower(), allow=True)


def _split(text: bytes) -> Iterator[bytes]:
    """The rules of a selector, which may be quoted; as in the references, one that cannot be read is empty."""
    try:
        words = split_words(text.decode("utf-8", "surrogateescape"))
    except UnbalancedQuotesError:
        return
    for word in words:
        yield word.encode("utf-8", "surrogateescape")


def _switch(selector: Selector, ids: Iterable[int], *, allow: bool) -> None:
    for number in ids:
        selector.first_arguments.pop(number, None)
    if allow:
        selector.commands.update(ids)
    else:
        selector.commands.difference_update(ids)


def _note(selector: Selector, rule: bytes, *, allow: bool) -> None:
    """Remember a rule about commands; earlier ones about the same and its subcommands mean nothing any more."""
    selector.command_rules = [
        known for known in selector.command_rules if known[1:] != rule and not known[1:].startswith(rule + b"|")
    ]
    selector.command_rules.append((b"+" if allow else b"-") + rule)


def _apply_keys(selector: Selector, rule: bytes) -> None:
    if selector.all_keys:
        raise _after_star("allkeys", "resetkeys", "patterns")
    uses, pattern = Uses.BOTH, rule[1:]
    if rule.startswith(b"%"):
        # As the references have it, letters without a tilde are about the empty key.
        letters, _, pattern = rule[1:].partition(b"~")
        named = {b"r": Uses.READ, b"w": Uses.WRITE, b"rw": Uses.BOTH, b"wr": Uses.BOTH}.get(letters.lower())
        if named is None:
            raise _syntax_error()
        uses = named
    if has_spaces(pattern):
        raise _syntax_error()
    selector.keys[pattern] = selector.keys.get(pattern, Uses(0)) | uses


def _apply_channels(selector: Selector, pattern: bytes) -> None:
    if selector.all_channels:
        raise _after_star("allchannels", "resetchannels", "channels")
    if has_spaces(pattern):
        raise _syntax_error()
    if pattern not in selector.channels:
        selector.channels.append(pattern)


def _apply_databases(selector: Selector, text: bytes) -> None:
    databases = set()
    for word in text.split(b","):
        if _DATABASE.fullmatch(word) is None:
            raise _syntax_error()
        if len(word) > _DATABASE_DIGITS_MAX or not 0 <= int(word) <= _DATABASE_MAX:
            raise RuleError("The provided database ID is out of range")
        databases.add(int(word))
    selector.all_databases, selector.databases = False, databases


def _apply_password(user: User, rule: bytes) -> None:
    kind, text = rule[:1], rule[1:]
    if kind in b"#!" and _DIGEST.fullmatch(text) is None:
        raise RuleError(
            "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
        )
    digest = text if kind in b"#!" else digest_of(text)
    if kind in b">#":
        if digest not in user.passwords:
            user.passwords.append(digest)
        user.nopass = False
    elif digest in user.passwords:
        user.passwords.remove(digest)
    else:
        raise RuleError("The password you are trying to remove from the user does not exist")


def _set_enabled(value: bool) -> Callable[[User], None]:
    def change(user: User) -> None:
        user.enabled = value

    return change


def _set_sanitize(value: bool) -> Callable[[User], None]:
    def change(user: User) -> None:
        user.sanitize_payload = value

    return change


def _set_nopass(value: bool) -> Callable[[User], None]:
    def change(user: User) -> None:
        user.nopass, user.passwords = value, []

    return change


def _clear_selectors(user: User) -> None:
    del user.selectors[1:]


def _set_keys(value: bool) -> Callable[[Selector], None]:
    def change(selector: Selector) -> None:
        selector.all_keys, selector.keys = value, {}

    return change


def _set_channels(value: bool) -> Callable[[Selector], None]:
    def change(selector: Selector) -> None:
        selector.all_channels, selector.channels = value, []

    return change


def _set_databases(value: bool) -> Callable[[Selector], None]:
    def change(selector: Selector) -> None:
        selector.all_databases, selector.databases = value, set()

    return change


_USER_RULES: dict[bytes, Callable[[User], None]] = {
    b"on": _set_enabled(True),
    b"off": _set_enabled(False),
    b"skip-sanitize-payload": _set_sanitize(False),
    b"sanitize-payload": _set_sanitize(True),
    b"nopass": _set_nopass(True),
    b"resetpass": _set_nopass(False),
    b"clearselectors": _clear_selectors,
}
_SELECTOR_RULES: dict[bytes, Callable[[Selector], None]] = {
    b"allkeys": _set_keys(True),
    b"~*": _set_keys(True),
    b"resetkeys": _set_keys(False),
    b"allchannels": _set_channels(True),
    b"&*": _set_channels(True),
    b"resetchannels": _set_channels(False),
    b"alldbs": _set_databases(True),
    b"resetdbs": _set_databases(False),
}
