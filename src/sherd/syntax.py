"""Compact command syntax, as the manuals print it, read into the argument tree of COMMAND DOCS.

    key value [NX | XX] [GET] [EX seconds | PX milliseconds | KEEPTTL]

A command says its syntax once, in the form people know; COMMAND DOCS and the reference docs are derived from it.

The grammar
- lower-case words are arguments, words without lower-case letters (`EX`, `*`, `~`, `""`) are tokens
- `[...]` is optional, `<...>` and `(...)` are a mandatory group, `|` separates alternatives of a group or of it all
- `key [key ...]` repeats the argument before it, `score member [score member ...]` a block; `[arg ...]` stands alone
- a token takes the arguments that follow it: all of its group, or, outside of a group, up to the next option or token
- `name:type` gives a type that the name does not imply; `name:key@2` a key spec index; `name=` before a group, a token
  or an argument gives it a name (`condition=[NX | XX]`, `change=CH`, `addr=ip:port`)

Rejected: the argument trees as they stand in the servers that people know, some ten thousand lines of JSON, which
nobody can read beside a handler.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sherd.errors import SyntaxStringError
from sherd.record import record, replace

_TYPES = frozenset("key string integer double pattern unix-time pure-token oneof block".split())
_KEY_NAMES = frozenset("key src dst newkey source destination destkey storekey key1 key2 shardchannel-key".split())
_DOUBLE_NAMES = frozenset("score min max longitude latitude radius width height timeout".split())
_INTEGER_NAMES = frozenset(
    "seconds milliseconds microseconds increment decrement index start stop end offset count cursor numkeys numfields "
    "numlocal numreplicas num-matches rank len limit length bit db destination-db index1 index2 port ttl frequency "
    "client-id slot start-slot end-slot weight protover version maxage entries-read entriesread entries-added "
    "min-match-len min-idle-time ms epoch numpat numpatterns bytes samples unit-count".split()
)
# What Redis calls a choice between exactly these tokens.
_CHOICE_NAMES = {
    frozenset(tokens.split()): name
    for tokens, name in {
        "NX XX": "condition",
        "NX XX GT LT": "condition",
        "FNX FXX": "condition",
        "GT LT": "comparison",
        "LEFT RIGHT": "where",
        "MIN MAX": "where",
        "BEFORE AFTER": "where",
        "ASC DESC": "order",
        "M KM FT MI": "unit",
        "MAXLEN MINID": "strategy",
        "= ~": "operator",
        "SUM MIN MAX": "aggregate",
        "ASYNC SYNC": "flush-type",
        "ON OFF": "status",
        "YES NO": "enabled",
        "BYSCORE BYLEX": "sortby",
        "BYTE BIT": "unit",
        "SAVE NOSAVE": "save-selector",
    }.items()
}
_UNNAMED_CHOICE = "option"
_EXPIRATION_TOKENS = frozenset("EX PX EXAT PXAT KEEPTTL PERSIST".split())
_TOKEN_NAMES = {"=": "equal", "~": "approximately", "*": "auto-id", "$": "new-id", '""': "empty-string"}
_LEXEMES = re.compile(
    r"""\s+
    | (?P<name> [a-z][a-z0-9-]* ) = (?= [^\s\]|>)] )
    | (?P<mark> \[ | \] | \( | \) | < | > | \| | \.\.\. )
    | (?P<word> [^\s\[\]()<>|]+ )""",
    re.VERBOSE,
)
_CLOSING = {"[": "]", "(": ")", "<": ">"}


@record
class Argument:
    """One node of the tree, with the fields of COMMAND DOCS; `display` is what a manual prints for the argument."""

    name: str
    type: str
    token: str | None = None
    display: str = ""
    key_spec_index: int | None = None
    optional: bool = False
    multiple: bool = False
    multiple_token: bool = False
    arguments: tuple[Argument, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags as COMMAND DOCS lists them."""
        names = ("optional", "multiple", "multiple_token")
        return tuple(name for name in names if getattr(self, name))


def parse_syntax(syntax: str, key_spec_count: int | None = None) -> tuple[Argument, ...]:
    """The arguments that a syntax string describes; raises SyntaxStringError where it cannot be read.

    Keys are numbered in their order. `key_spec_count`, where it is known, caps the numbers: two keys that stand side by
    side may be one key spec, as in LCS.
    """
    parser = _Parser(_lex(syntax))
    arguments = parser.sequence(closing="", grouped=False)
    if not parser.finished:
        # Alternatives of the whole command line: the same as in a group.
        arguments = (_Parser(_lex(f"<{syntax}>")).group_of_all(),)
    return _number_keys(arguments, key_spec_count)


@record
class _Lexeme:
    kind: str  # "mark", "word" or "name"
    text: str


def _lex(syntax: str) -> list[_Lexeme]:
    lexemes: list[_Lexeme] = []
    position = 0
    while position < len(syntax):
        match = _LEXEMES.match(syntax, position)
        if match is None:
            raise SyntaxStringError(f"cannot read {syntax[position:]!r} in {syntax!r}")
        position = match.end()
        if match.lastgroup is not None:
            text = match[match.lastgroup]
            # `member...` is how some manuals glue the dots to the word.
            if match.lastgroup == "word" and text.endswith("...") and text != "...":
                lexemes += [_Lexeme("word", text[:-3]), _Lexeme("mark", "...")]
            else:
                lexemes.append(_Lexeme(match.lastgroup, text))
    return lexemes


class _Parser:
    """Recursive descent over the lexemes; `sequence` and `group` call each other."""

    def __init__(self, lexemes: Sequence[_Lexeme]) -> None:
        self._lexemes = lexemes
        self._position = 0

    @property
    def finished(self) -> bool:
        """Whether every lexeme was read."""
        return self._position == len(self._lexemes)

    def _peek(self) -> str:
        return self._lexemes[self._position].text if self._position < len(self._lexemes) else ""

    def _take(self) -> _Lexeme:
        self._position += 1
        return self._lexemes[self._position - 1]

    def sequence(self, closing: str, grouped: bool) -> tuple[Argument, ...]:
        """Arguments up to `|` or `closing`, which stay where they are; dots at the end make the last one multiple."""
        items: list[Argument] = []
        while self._position < len(self._lexemes) and self._peek() not in ("|", closing):
            lexeme = self._take()
            if lexeme.text == "...":
                items = [_repeat_all(items)] if grouped else [*items[:-1], _repeat_all(items[-1:])]
            elif lexeme.kind == "name":
                items.append(self._named(lexeme.text))
            elif lexeme.text in _CLOSING:
                self._append_group(items, self.group(lexeme.text))
            elif lexeme.kind == "mark":
                raise SyntaxStringError(f"unexpected {lexeme.text!r}")
            else:
                items.append(_word(lexeme.text))
        return tuple(_bind_tokens(items, to_end=grouped))

    def _named(self, name: str) -> Argument:
        lexeme = self._take()
        if lexeme.text in _CLOSING:
            return replace(self.group(lexeme.text), name=name)
        word = _word(lexeme.text)
        return replace(word, name=name, display=name if word.type == "pure-token" else word.display)

    def group_of_all(self) -> Argument:
        """The one group that the whole syntax is."""
        argument = self.group(self._take().text)
        if not self.finished:
            raise SyntaxStringError("a closing bracket stands alone")
        return argument

    def group(self, opening: str) -> Argument:
        """What stands between brackets: one argument, a block or a choice."""
        closing = _CLOSING[opening]
        alternatives = [self.sequence(closing, grouped=True)]
        while self._peek() == "|":
            self._take()
            alternatives.append(self.sequence(closing, grouped=True))
        if self._peek() != closing:
            raise SyntaxStringError(f"{opening!r} is never closed")
        self._take()
        if not all(alternatives):
            raise SyntaxStringError("an alternative is empty")
        if len(alternatives) == 1:
            argument = _as_one(alternatives[0])
        else:
            choices = tuple(_as_one(items) for items in alternatives)
            argument = Argument(_choice_name(choices), "oneof", arguments=choices)
        return replace(argument, optional=True) if opening == "[" else argument

    @staticmethod
    def _append_group(items: list[Argument], group: Argument) -> None:
        """Add a group, or, where it repeats what stands before it, mark that as multiple."""
        once = replace(group, optional=False, multiple=False)
        parts = once.arguments if once.type == "block" and once.token is None else (once,)
        if group.multiple and items and items[-1] == once:
            items[-1] = replace(once, multiple=True)
            return
        length = len(parts)
        tail = _bind_tokens(items[-_words_of(parts) :], to_end=True)
        if not (group.multiple and tuple(tail) == tuple(parts)):
            items.append(group)
            return
        del items[-_words_of(parts) :]
        repeated = tail[0] if length == 1 else Argument("data", "block", arguments=tuple(tail))
        items.append(replace(repeated, multiple=True, multiple_token=repeated.token is not None))


def _words_of(parts: Sequence[Argument]) -> int:
    """How many unbound words stand for these arguments in a sequence that is still being read."""
    return sum(_words_of_one(part) for part in parts)


def _words_of_one(part: Argument) -> int:
    if part.token is None or part.type == "pure-token":
        return 1
    return 1 + (_words_of(part.arguments) if part.type == "block" else 1)


def _word(text: str) -> Argument:
    """An argument or a token, as its letters say."""
    if not any(character.islower() for character in text):
        token = "" if text == '""' else text
        name = _TOKEN_NAMES.get(text, text.lower())
        return Argument(name, "pure-token", token=token, display=name)
    name, _, given = text.partition(":")
    kind, _, index = given.partition("@")
    if kind not in _TYPES:
        return Argument(text, _implied_type(text), display=text)
    return Argument(name, kind, display=name, key_spec_index=int(index) if index else None)


def _implied_type(name: str) -> str:
    if name in _KEY_NAMES:
        return "key"
    if name in _INTEGER_NAMES:
        return "integer"
    if name in _DOUBLE_NAMES:
        return "double"
    if name.startswith("unix-time"):
        return "unix-time"
    return "pattern" if name == "pattern" else "string"


def _bind_tokens(items: Sequence[Argument], *, to_end: bool) -> list[Argument]:
    """Give each token the arguments that belong to it."""
    bound: list[Argument] = []
    position = 0
    while position < len(items):
        item = items[position]
        position += 1
        taken: list[Argument] = []
        if _is_bare_token(item):
            while position < len(items) and _belongs(items[position], to_end and not bound):
                taken.append(items[position])
                position += 1
        bound.append(_with_token(item, taken) if taken else item)
    return bound


def _is_bare_token(item: Argument) -> bool:
    return item.type == "pure-token" and not item.optional


def _belongs(item: Argument, to_end: bool) -> bool:
    return to_end or not (item.optional or _is_bare_token(item))


def _with_token(token: Argument, taken: Sequence[Argument]) -> Argument:
    if len(taken) == 1 and taken[0].token is None and not taken[0].optional:
        name = token.name if taken[0].name == _UNNAMED_CHOICE else taken[0].name
        return replace(taken[0], name=name, token=token.token)
    return Argument(token.name, "block", token=token.token, arguments=tuple(taken))


def _as_one(items: Sequence[Argument]) -> Argument:
    if len(items) == 1:
        return items[0]
    return Argument(items[0].name if items[0].type == "pure-token" else "data", "block", arguments=tuple(items))


def _repeat_all(items: Sequence[Argument]) -> Argument:
    """`a b ...`: everything so far, any number of times."""
    bound = _bind_tokens(items, to_end=True)
    if not bound:
        raise SyntaxStringError("nothing stands before '...'")
    return replace(_as_one(bound), multiple=True)


def _choice_name(choices: Sequence[Argument]) -> str:
    tokens = frozenset(choice.token for choice in choices if choice.token is not None)
    if len(tokens) == len(choices) and tokens & {"EX", "PX"} and tokens <= _EXPIRATION_TOKENS:
        return "expiration"
    if all(choice.type == "pure-token" for choice in choices):
        return _CHOICE_NAMES.get(tokens, _UNNAMED_CHOICE)
    return choices[0].name


def _number_keys(arguments: Sequence[Argument], key_spec_count: int | None) -> tuple[Argument, ...]:
    """Give keys that have no index of their own the next one, in the order in which they stand."""
    next_index = 0

    def number(argument: Argument) -> Argument:
        nonlocal next_index
        if argument.type == "key" and argument.key_spec_index is None:
            index = next_index if not key_spec_count else min(next_index, key_spec_count - 1)
            argument = replace(argument, key_spec_index=index)
        if argument.key_spec_index is not None:
            next_index = max(next_index, argument.key_spec_index + 1)
        return replace(argument, arguments=_map(number, argument.arguments))

    return _map(number, arguments)


def _map(function: Callable[[Argument], Argument], arguments: Sequence[Argument]) -> tuple[Argument, ...]:
    return tuple(function(argument) for argument in arguments)
