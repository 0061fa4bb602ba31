"""Rules applied to users: whatever is written, a user is changed or the rule is refused; what is told makes the same user."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sherd.acl.catalogue import Catalogue
from sherd.acl.compiled import compile_user
from sherd.acl.files import user_lines
from sherd.acl.rules import RuleBook, RuleError, merge_selectors
from sherd.acl.user import User
from sherd.config.lexer import split_words

ROWS = [
    {"id": number, "name": name, "categories": categories.split(), "container": container}
    for number, (name, categories, container) in enumerate([
        ("get", "read string fast", False),
        ("set", "write string slow", False),
        ("select", "connection fast", False),
        ("config", "slow", True),
        ("config|get", "admin slow dangerous", False),
        ("config|set", "admin slow dangerous", False),
        ("debug", "admin slow dangerous", False),
    ])
]  # fmt: skip
CATALOGUE = Catalogue(len(ROWS), lambda: ROWS)
BOOK = RuleBook(CATALOGUE, lambda: False)

_words = [
    "on", "off", "nopass", "resetpass", "reset", "~*", "~a*", "%R~b", "%W~b", "%RW~c", "%RW~*", "%R~*", "%W~*", "allkeys", "resetkeys", "&*", "&c",
    "allchannels", "resetchannels", "+@all", "-@all", "allcommands", "nocommands", "+@read", "-@string", "+get", "-set",
    "+config", "+config|get", "-config|set", "+select|0", "+SELECT|x", "-select", "+debug", "(+get ~x)", "(~y +@write",
    ")", "(", "clearselectors", "db=0,1", "db=3", "alldbs", "resetdbs", ">password", "<password", "sanitize-payload",
    "skip-sanitize-payload", "#" + "a" * 64, "!" + "a" * 64, "+nosuch", "-@nosuch", "%~x", "db=x", "",
]  # fmt: skip
_rules = st.one_of(
    st.sampled_from(_words).map(str.encode),
    st.binary(max_size=12),
    st.tuples(
        st.sampled_from([b"~", b"&", b"%R~", b"+", b"-", b"+@", b"(", b"db=", b">", b"#"]), st.binary(max_size=8)
    ).map(b"".join),
    st.lists(st.sampled_from(_words).map(str.encode), max_size=4).map(lambda inner: b"(" + b" ".join(inner) + b")"),
)


def _apply(user: User, rules: list[bytes]) -> User:
    for rule in merge_selectors(rules):
        BOOK.apply(user, rule)
    return user


@given(st.lists(_rules, max_size=12))
def test_any_rules_are_taken_or_refused_and_what_is_told_makes_the_same_user(rules: list[bytes]) -> None:
    """A refused rule leaves its reason; the rest goes on as in a file of which all that is wrong is told."""
    user = BOOK.new_user(b"anna")
    try:
        merged = merge_selectors(rules)
    except RuleError:
        return
    for rule in merged:
        before = user.copy()
        try:
            BOOK.apply(user, rule)
        except RuleError:
            assert user == before
    again = _apply(BOOK.new_user(b"anna"), user.describe(in_file=True).split(b" "))
    assert again.describe() == user.describe()
    assert compile_user(again, CATALOGUE) == compile_user(user, CATALOGUE)
    # And by way of a line of the configuration.
    (line,) = user_lines([user])
    _, name, *words = (word.encode("utf-8", "surrogateescape") for word in split_words(line))
    assert name == b"anna"
    assert compile_user(_apply(BOOK.new_user(name), words), CATALOGUE) == compile_user(user, CATALOGUE)


@pytest.mark.parametrize(
    ("rules", "told", "written"),
    [
        ("%RW~* %R~a", "~* %R~a", "%RW~* %R~a"),
        ("%R~* ~a* %W~*", "~* ~a*", "%RW~* ~a*"),
        ("~a* %RW~*", "~a* ~*", "~a* %RW~*"),
        ("~a* ~*", "~*", "~*"),
    ],
)
def test_a_file_has_no_rule_behind_one_that_ends_them(rules: str, told: str, written: str) -> None:
    """What is told is as in Redis, which cannot read that again."""
    user = _apply(BOOK.new_user(b"anna"), rules.encode().split())
    assert user.root.describe_keys() == told.encode()
    assert user.root.describe_keys(in_file=True) == written.encode()
    again = _apply(BOOK.new_user(b"anna"), user.describe(in_file=True).split())
    assert again == user


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("+get +set", "-@all +get +set"),
        ("+get -get +get", "-@all +get"),
        ("+config|get +config", "-@all +config"),
        ("+config -config|get", "-@all +config -config|get"),
        ("+@all -debug +@all", "+@all"),
        ("-@READ +Get", "-@all -@read +get"),
        ("+select|1 +select", "-@all +select"),
    ],
)
def test_rules_about_commands_are_kept_as_far_as_they_mean_anything(rules: str, told: str) -> None:
    user = _apply(BOOK.new_user(b"anna"), rules.encode().split())
    assert user.root.describe_commands() == told.encode()


def test_a_container_means_all_its_subcommands() -> None:
    user = _apply(BOOK.new_user(b"anna"), [b"+config", b"-config|set"])
    assert compile_user(user, CATALOGUE)["selectors"][0]["commands"] == [3, 4]


def test_all_commands_are_compiled_as_such() -> None:
    user = _apply(BOOK.new_user(b"anna"), [b"+@all", b"-get", b"+get"])
    assert compile_user(user, CATALOGUE)["selectors"][0]["commands"] is None
