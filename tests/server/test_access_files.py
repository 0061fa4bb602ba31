"""Users in files: what a server takes, what it refuses to start with, and what it writes."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import Program, Server, sherd_command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sherd_only

run_timeout_seconds = 60
secret = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"


def _with_config(file: Path) -> Program:
    return Program("sherd", (*sherd_command(), "serve", str(file)), is_sherd=True)


def _refusal(*arguments: str) -> str:
    finished = subprocess.run(
        [*sherd_command(), "serve", *arguments, "--metrics-port", "0", "--bind", "127.0.0.1", "--port", "0",
         "--unixsocket", "s"],
        capture_output=True, text=True, timeout=run_timeout_seconds, env=os.environ, check=False,
        cwd="/tmp",
    )  # fmt: skip
    assert finished.returncode == 1
    return finished.stderr.splitlines()[-1]


def test_users_of_a_file_are_there_from_the_start(tmp_path: Path) -> None:
    """The default user too, where the file has it; requirepass has no say then."""
    file = tmp_path / "users.acl"
    file.write_text(f"\nuser default on #{secret} ~* &* +@all\n  user anna on nopass ~a* +get (~b* +set)  \n\n")
    with Server(directives={"aclfile": str(file)}) as server, server.wire() as wire:
        assert wire.call("PING").raw == b"-NOAUTH Authentication required.\r\n"
        assert wire.call("AUTH", "secret").raw == b"+OK\r\n"
        assert wire.value("ACL", "USERS") == [b"anna", b"default"]
        assert wire.call("AUTH", "anna", "x").raw == b"+OK\r\n"
        assert wire.call("SET", "b1", "x").raw == b"+OK\r\n"
        assert wire.call("SET", "a1", "x").is_error


def test_saving_and_loading_make_the_same_users(tmp_path: Path) -> None:
    """ACL SAVE writes what ACL LOAD reads; clients of users that stay go on, those of others are cut."""
    file = tmp_path / "users.acl"
    file.write_text("")
    file.chmod(0o640)
    with Server(directives={"aclfile": str(file)}) as server, server.wire() as admin:
        admin.call(
            "ACL", "SETUSER", "anna", "on", ">secret", "~a*", "%R~r*", "&c", "+@read", "-get", "(~b +set db=1,2)"
        )
        admin.call("ACL", "SETUSER", "bert", "on", "nopass", "+@all", "skip-sanitize-payload")
        assert admin.call("ACL", "SAVE").raw == b"+OK\r\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        listed = admin.value("ACL", "LIST")
        assert file.read_bytes() == b"".join(line + b"\n" for line in listed)
        with server.wire() as anna, server.wire() as carl:
            anna.call("AUTH", "anna", "secret")
            admin.call("ACL", "SETUSER", "carl", "on", "nopass", "+@all")
            carl.call("AUTH", "carl", "x")
            admin.call("ACL", "SETUSER", "bert", "reset")
            assert admin.call("ACL", "LOAD").raw == b"+OK\r\n"
            assert admin.value("ACL", "LIST") == listed
            assert anna.call("STRLEN", "a1").raw == b":0\r\n"
            assert carl.read_until_closed() == b""


def test_a_pattern_of_all_keys_beside_others_is_read_again(tmp_path: Path) -> None:
    """Though ACL LIST shows it as what nothing may follow: once it is written to a file."""
    file = tmp_path / "users.acl"
    file.write_text("")
    rules = ("on", ">secret", "+get", "%R~*", "~a*", "%W~*", "(%RW~* %R~b +set)")
    with Server(directives={"aclfile": str(file)}) as server, server.wire() as admin:
        assert admin.call("ACL", "SETUSER", "anna", *rules).raw == b"+OK\r\n"
        listed = admin.value("ACL", "LIST")
        assert b" ~* ~a* " in listed[0]
        for _ in range(2):
            assert admin.call("ACL", "SAVE").raw == b"+OK\r\n"
            assert admin.call("ACL", "LOAD").raw == b"+OK\r\n"
            assert admin.value("ACL", "LIST") == listed
    with Server(directives={"aclfile": str(file)}) as server, server.wire() as admin:
        assert admin.value("ACL", "LIST") == listed


MALFORMED = [
    (
        "user anna on +nosuch",
        "users.acl:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. ",
    ),
    ("\nuser anna ~a* ~* ~b >secret", "users.acl:2: Adding a pattern after the * pattern"),
    ("user anna on\nnonsense", "users.acl:2 should start with user keyword followed by the username. "),
    ("# comment", "users.acl:1 should start with user keyword followed by the username. "),
    ("user", "users.acl:1 should start with user keyword followed by the username. "),
    ("user anna on\nuser anna off", "WARNING: Duplicate user 'anna' found on line 2. "),
    ("user anna (+get", "users.acl:1: Unmatched parenthesis in selector definition."),
    ("user an\tna on", "'users.acl:1: username 'an\tna' contains invalid characters. "),
    ("user anna #abc %X~a", "users.acl:1: The password hash must be exactly 64 characters"),
    ("user anna on\x00", "users.acl:1: Syntax error. "),
    ("user anna \udcff\udcfe", "users.acl:1: Syntax error. "),
    ("user anna on nopass +@all ~*\nuser be", ""),
]


@pytest.mark.parametrize(("text", "reason"), MALFORMED)
def test_a_malformed_file_keeps_what_was_and_keeps_a_server_from_starting(
    tmp_path: Path, text: str, reason: str
) -> None:
    """Each with its line; a file that ends in the middle of a line is what it is."""
    file = tmp_path / "users.acl"
    file.write_text("user anna on nopass +get ~*\n")
    with Server(directives={"dir": str(tmp_path), "aclfile": "users.acl"}) as server, server.wire() as admin:
        before = admin.value("ACL", "LIST")
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        reply = admin.call("ACL", "LOAD")
        if not reason:
            assert reply.raw == b"+OK\r\n"
            return
        shown = reply.raw.decode("utf-8", "surrogateescape")
        assert shown.startswith("-ERR " + reason.replace("\n", " ")), shown
        assert shown.endswith("no change to the previously active ACL rules was performed\r\n")
        assert admin.value("ACL", "LIST") == before
    refusal = _refusal("--dir", str(tmp_path), "--aclfile", "users.acl")
    assert " ".join(reason.split()).encode("ascii", "replace").decode() in refusal.encode("ascii", "replace").decode()


def test_a_file_that_is_not_there_keeps_a_server_from_starting(tmp_path: Path) -> None:
    """Its users may be fewer than those it would have without one."""
    assert "No such file or directory" in _refusal("--aclfile", str(tmp_path / "none"))


def test_users_of_the_configuration_are_taken_and_written_back(tmp_path: Path) -> None:
    """CONFIG REWRITE puts the present users in the place of the lines, once any was changed."""
    file = tmp_path / "redis.conf"
    file.write_text('# head\nuser anna on nopass ~"a b" +get\nuser bert on >secret (~b* +set)\n')
    assert "redis.conf:2: 'user anna ...': Syntax error" in _refusal(str(file))
    file.write_text("# head\nuser anna on nopass ~a'* +get\nuser bert on >secret (~b* +set)\n# tail\n")
    assert "Unbalanced quotes" in _refusal(str(file))
    file.write_text('# head\nuser anna on nopass "~a\'*" +get\nuser bert on >secret (~b* +set)\n# tail\n')
    with Server(_with_config(file)) as server, server.wire() as admin:
        before = file.read_text()
        assert admin.call("CONFIG", "REWRITE").raw == b"+OK\r\n"
        assert [line for line in file.read_text().splitlines() if line.startswith(("user", "#"))][
            :4
        ] == before.splitlines()
        admin.call("ACL", "SETUSER", "anna", "+set")
        admin.call("ACL", "DELUSER", "bert")
        admin.call("ACL", "SETUSER", "carl", "on", ">x")
        listed = admin.value("ACL", "LIST")
        assert admin.call("CONFIG", "REWRITE").raw == b"+OK\r\n"
    # The directory of the first server is gone.
    lines = [line for line in file.read_text().splitlines(keepends=True) if line.startswith(("user", "#"))]
    assert lines[0] == "# head\n" and "# tail\n" in lines
    file.write_text("".join(lines))
    with Server(_with_config(file)) as server, server.wire() as admin:
        assert admin.value("ACL", "LIST") == listed


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("requirepass old\n", ()),
        ("requirepass old\n", (("ACL", "SETUSER", "anna", "on"),)),
        ("requirepass old\nuser anna on nopass ~* +@all\n", (("ACL", "DELUSER", "anna"),)),
        ("user default on >old ~* &* +@all\nuser anna on\n", ()),
        ("requirepass other\nuser default on >old ~* &* +@all\n", (("ACL", "SETUSER", "anna", "on"),)),
        ("requirepass old\n", (("ACL", "SETUSER", "default", ">second", "-config", "+config"),)),
    ],
)
def test_a_new_password_is_the_one_that_is_written_back(
    tmp_path: Path, text: str, before: tuple[tuple[str, ...], ...]
) -> None:
    """Whatever was changed before CONFIG SET requirepass, or stands in the file, the old one is of no use after a start.

    Users were written back as they were at the last ACL SETUSER, or as the file had them: with the default user's old
    password, which a start then took for the one that counts.
    """
    file = tmp_path / "redis.conf"
    file.write_text(text)
    with Server(_with_config(file)) as server, server.wire() as admin:
        assert admin.call("AUTH", "old").raw == b"+OK\r\n"
        for command in (*before, ("CONFIG", "SET", "requirepass", "new"), ("CONFIG", "REWRITE")):
            assert not admin.call(*command).is_error
        listed = admin.value("ACL", "LIST")
    kept = [line for line in file.read_text().splitlines(keepends=True) if line.startswith(("user", "requirepass"))]
    file.write_text("".join(kept))
    with Server(_with_config(file)) as server, server.wire() as admin:
        assert admin.call("AUTH", "old").is_error
        assert admin.call("AUTH", "new").raw == b"+OK\r\n"
        assert admin.value("ACL", "LIST") == listed


def test_a_password_of_the_environment_can_be_another_one_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONFIG REWRITE neither writes it nor what was made of it, so the environment still decides."""
    file = tmp_path / "redis.conf"
    file.write_text("")
    monkeypatch.setenv("SHERD_REQUIREPASS", "old")
    with Server(_with_config(file)) as server, server.wire() as admin:
        assert admin.call("AUTH", "old").raw == b"+OK\r\n"
        admin.call("ACL", "SETUSER", "anna", "on", ">secret")
        assert admin.call("CONFIG", "REWRITE").raw == b"+OK\r\n"
    assert [line.split()[1] for line in file.read_text().splitlines() if line.startswith("user ")] == ["anna"]
    assert "requirepass" not in file.read_text()
    file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if line.startswith("user")))
    monkeypatch.setenv("SHERD_REQUIREPASS", "new")
    with Server(_with_config(file)) as server, server.wire() as admin:
        assert admin.call("AUTH", "old").is_error
        assert admin.call("AUTH", "new").raw == b"+OK\r\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("user anna on +nosuch\n", "redis.conf:1: 'user anna ...': Unknown command or category name in ACL"),
        ("\nuser anna >secret nonsense\n", "redis.conf:2: 'user anna ...': Syntax error"),
        ("user anna on\nuser anna off\n", "redis.conf:2: 'user anna ...': Duplicate user found."),
        ("user anna (+get\n", "redis.conf:1: 'user anna ...': Unmatched parenthesis"),
        ("user\n", "redis.conf:1: 'user ...': wrong number of arguments"),
        ("user anna on\naclfile users.acl\n", "users are defined both in the configuration and by aclfile"),
    ],
)
def test_a_wrong_user_line_keeps_a_server_from_starting(tmp_path: Path, text: str, reason: str) -> None:
    """With file, line and reason, and without the rules, which may hold passwords."""
    file = tmp_path / "redis.conf"
    file.write_text(text)
    assert reason in _refusal(str(file))


def test_requirepass_is_the_default_users_password(tmp_path: Path) -> None:
    """Set at run time it takes the place of all others; empty, none is asked for."""
    with Server(directives={"requirepass": "first"}) as server, server.wire() as wire:
        assert wire.call("AUTH", "default", "first").raw == b"+OK\r\n"
        wire.call("ACL", "SETUSER", "default", ">second")
        assert wire.call("AUTH", "second").raw == b"+OK\r\n"
        wire.call("CONFIG", "SET", "requirepass", "third")
        with server.wire() as other:
            assert other.call("AUTH", "second").is_error
            assert other.call("AUTH", "third").raw == b"+OK\r\n"
        wire.call("CONFIG", "SET", "requirepass", "")
        with server.wire() as other:
            assert other.call("PING").raw == b"+PONG\r\n"
        wire.call("ACL", "SETUSER", "default", "-get", "resetkeys", "~mine")
        with server.wire() as other:
            assert other.call("GET", "mine").raw.startswith(b"-NOPERM User default has no permissions to run the 'get'")
            assert other.call("SET", "other", "x").raw == b"-NOPERM No permissions to access a key\r\n"


def test_a_default_user_that_is_off_lets_nobody_in_without_a_name() -> None:
    """As with a password; who is in stays in."""
    with Server() as server, server.wire() as admin:
        admin.call("ACL", "SETUSER", "anna", "on", "nopass", "+@all")
        admin.call("ACL", "SETUSER", "default", "off")
        assert admin.call("PING").raw == b"+PONG\r\n"
        with server.wire() as wire:
            assert wire.call("PING").raw == b"-NOAUTH Authentication required.\r\n"
            assert wire.call("AUTH", "default", "").is_error
            assert wire.call("AUTH", "anna", "").raw == b"+OK\r\n"


def test_new_users_have_the_channels_that_the_configuration_says() -> None:
    """acl-pubsub-default, at the start and changed."""
    with Server(directives={"acl-pubsub-default": "allchannels"}) as server, server.wire() as admin:
        admin.call("ACL", "SETUSER", "anna", "(+get)")
        assert admin.value("ACL", "GETUSER", "anna")[9] == b"&*"
        admin.call("CONFIG", "SET", "acl-pubsub-default", "resetchannels")
        admin.call("ACL", "SETUSER", "bert")
        assert admin.value("ACL", "GETUSER", "bert")[9] == b""
        admin.call("ACL", "SETUSER", "anna", "reset")
        assert admin.value("ACL", "GETUSER", "anna")[9] == b""


def test_check_config_tells_what_is_wrong_with_users(tmp_path: Path) -> None:
    """Of lines and of files, without a server."""
    file = tmp_path / "redis.conf"
    for text, reason in (
        ("user anna +nosuch\n", "redis.conf:1: 'user anna ...'"),
        ("aclfile none.acl\n", "opening file"),
    ):
        file.write_text(f'save ""\ndir {tmp_path}\n' if "aclfile" in text else "")
        with file.open("a") as more:
            more.write(text)
        finished = subprocess.run(
            [*sherd_command(), "check-config", str(file)],
            capture_output=True, text=True, timeout=run_timeout_seconds, check=False,
        )  # fmt: skip
        assert finished.returncode == 1
        assert reason in finished.stderr
