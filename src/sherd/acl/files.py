"""Users in files: the `aclfile`, whose lines ACL LOAD reads and ACL SAVE writes, and `user` lines of the configuration.

A line of either is `user name rule ...`. An `aclfile` knows no quotes and no comments, as it is written by the server.
Everything that is wrong with it is told at once, each with its line, and then nothing of it is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sherd.acl.rules import RuleBook, RuleError, UnmatchedParenthesisError, has_spaces, merge_selectors
from sherd.acl.user import User
from sherd.config import UserLine
from sherd.config.lexer import quote
from sherd.durable import replace_file
from sherd.errors import SherdError

FILE_BYTES_MAX = 64 * 1024 * 1024
_BLANKS = b" \t\r\n"
_UNCHANGED = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
DUPLICATE_USER = "Duplicate user found. A user can only be defined once in config files"


class UserListError(SherdError):
    """Users that cannot be taken: one line for the operator, or for the client that asked."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def read_user_file(path: Path, name: str, book: RuleBook) -> dict[bytes, User]:
    """The users of a file, which messages call by `name`; raises UserListError."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserListError(f"Error loading ACLs, opening file '{name}': {reason}") from error
    users: dict[bytes, User] = {}
    findings: list[str] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        findings += _read_line(line.strip(_BLANKS), f"{name}:{number}", number, users, book)
    if findings:
        raise UserListError("".join(findings) + _UNCHANGED)
    return users


def _read_line(line: bytes, place: str, number: int, users: dict[bytes, User], book: RuleBook) -> Iterator[str]:
    """Adds the user of one line, or tells what is wrong with it."""
    if not line:
        return
    words = line.split(b" ")
    if words[0] != b"user" or len(words) < 2:
        yield f"{place} should start with user keyword followed by the username. "
        return
    if has_spaces(words[1]):
        yield f"'{place}: username '{_text(words[1])}' contains invalid characters. "
        return
    if words[1] in users:
        yield f"WARNING: Duplicate user '{_text(words[1])}' found on line {number}. "
        return
    user = users[words[1]] = book.new_user(words[1])
    try:
        rules = merge_selectors(words[2:])
    except UnmatchedParenthesisError:
        yield f"{place}: Unmatched parenthesis in selector definition."
        return
    is_told = False
    for rule in (rule.strip(b"\t\r\n") for rule in rules):
        try:
            book.apply(user, rule)
        except RuleError as error:
            if error.is_unknown_name:
                # A name of a command is no secret.
                yield f"{place}: Error in applying operation '{_text(rule)}': {error}. "
            elif not is_told:
                is_told = True
                yield f"{place}: {error}. "


def read_user_lines(lines: Iterable[UserLine], book: RuleBook) -> dict[bytes, User]:
    """The users that the configuration names; raises ConfigError with the line that is wrong."""
    users: dict[bytes, User] = {}
    for line in lines:
        name, *words = (word.encode("utf-8", "surrogateescape") for word in line.words)
        if name in users:
            raise line.error(DUPLICATE_USER)
        if has_spaces(name):
            raise line.error("Spaces not allowed in ACL usernames")
        user = users[name] = book.new_user(name)
        try:
            for rule in merge_selectors(words):
                book.apply(user, rule)
        except RuleError as error:
            raise line.error(str(error)) from error
    return users


def user_lines(users: Iterable[User]) -> list[str]:
    """The lines of the configuration that make these users."""
    return [
        " ".join(["user", *map(_config_word, f"{_text(user.name)} {_text(user.describe(in_file=True))}".split(" "))])
        for user in users
    ]


def _config_word(word: str) -> str:
    """A word as the configuration's reader gives it back."""
    is_plain = all(" " < letter < "\x7f" and letter not in "\"'\\" for letter in word)
    return word if is_plain and word else quote(word)


def write_user_file(path: Path, users: Iterable[User]) -> None:
    """Writes all users; the new file takes the old one's place when it is on disk. OSError leaves what was there."""
    content = b"".join(b"user %b %b\n" % (user.name, user.describe(in_file=True)) for user in users)
    replace_file(path, content)
