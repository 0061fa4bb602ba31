"""The container's entrypoint and health check follow the conventions that people know from the Redis image."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import ssl
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sherd.certificates import make_certificates
from sherd.config import BY_NAME

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BASH = shutil.which("bash") or "/bin/bash"


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """Programs that print how they were called; `id` says that the caller is `$STUB_UID`."""
    directory = tmp_path / "bin"
    directory.mkdir()
    programs = {
        "sherd": 'echo "sherd $* protected=${SHERD_PROTECTED_MODE-unset} umask=$(umask)"',
        "setpriv": 'echo "setpriv $*"',
        "find": "true",
        "id": 'echo "$STUB_UID"',
    }
    for name, body in programs.items():
        program = directory / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    return directory


def entrypoint(stubs: Path, *arguments: str, uid: str = "999", **environment: str) -> str:
    result = subprocess.run(
        [BASH, str(DEPLOY / "entrypoint.sh"), *arguments],
        env={"PATH": f"{stubs}:{os.environ['PATH']}", "STUB_UID": uid, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "sherd serve protected=no umask=0077"),
        (("serve",), "sherd serve protected=no umask=0077"),
        (("--maxmemory", "1gb"), "sherd serve --maxmemory 1gb protected=no umask=0077"),
        (("/etc/redis.conf", "--port", "7"), "sherd serve /etc/redis.conf --port 7 protected=unset umask=0077"),
        (("sherd", "serve", "--port", "7"), "sherd serve --port 7 protected=no umask=0077"),
    ],
)
def test_arguments_go_to_the_server(stubs: Path, arguments: tuple[str, ...], expected: str) -> None:
    assert entrypoint(stubs, *arguments) == expected


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_version_and_help_do_not_serve(stubs: Path, argument: str) -> None:
    assert entrypoint(stubs, argument).startswith(f"sherd {argument} ")


@pytest.mark.parametrize("command", ["check-config", "check-rdb", "check-aof", "cert"])
def test_subcommands_of_sherd_need_no_sherd_before_them(stubs: Path, command: str) -> None:
    assert entrypoint(stubs, command, "file").startswith(f"sherd {command} file ")


def test_anything_else_is_a_command_of_its_own(stubs: Path) -> None:
    assert entrypoint(stubs, "echo", "hello") == "hello"


@pytest.mark.parametrize("variable", ["SHERD_REQUIREPASS", "REDIS_PASSWORD_FILE", "SHERD_PROTECTED_MODE"])
def test_protected_mode_stays_as_it_is_once_somebody_decided(stubs: Path, variable: str) -> None:
    output = entrypoint(stubs, **{variable: "yes"})
    assert "protected=no" not in output


def test_root_gives_up_its_rights(stubs: Path) -> None:
    assert entrypoint(stubs, "--port", "7", uid="0") == (
        "setpriv --reuid=sherd --regid=sherd --clear-groups --no-new-privs sherd serve --port 7"
    )


class _Health(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        """Keep the test's output quiet."""


@pytest.fixture
def health() -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def check(proc: Path) -> int:
    """The exit code of the health check where these processes are."""
    environment = {"PATH": os.environ["PATH"], "HEALTHCHECK_PROC": str(proc)}
    return subprocess.run(
        [BASH, str(DEPLOY / "healthcheck.sh")], env=environment, capture_output=True, check=False
    ).returncode


def processes(root: Path, *, of_first: tuple[str, ...] = (), of_another: tuple[str, ...] = ()) -> Path:
    """Process 1 and another one with threads of these names, as /proc shows them."""
    for pid, names in ((1, of_first), (77, of_another)):
        for number, name in enumerate(names):
            task = root / str(pid) / "task" / str(pid + number)
            task.mkdir(parents=True)
            (task / "comm").write_text(f"{name}\n")
    return root


def test_the_health_check_asks_the_port_after_which_the_server_named_its_thread(
    health: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ("sherd", "sherd-io-0", f"metrics-{health.server_address[1]}")
    first = processes(tmp_path / "first", of_first=names)
    behind_init = processes(tmp_path / "behind-init", of_first=("tini",), of_another=names)
    assert check(first) == 0
    assert check(behind_init) == 0
    monkeypatch.setattr(_Health, "status", 503)
    assert check(first) != 0


def test_the_health_check_asks_a_page_that_speaks_tls_by_tls(
    health: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = make_certificates(tmp_path / "tls", ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made[2], made[3])
    health.socket = context.wrap_socket(health.socket, server_side=True)
    port = health.server_address[1]
    root = processes(tmp_path / "proc", of_first=("sherd", "sherd-io-0", f"metrics-{port}s"))
    assert check(root) == 0
    monkeypatch.setattr(_Health, "status", 503)
    assert check(root) != 0
    assert check(processes(tmp_path / "plain", of_first=(f"metrics-{port}",))) != 0


def test_the_health_check_prefers_the_containers_own_process(health: http.server.HTTPServer, tmp_path: Path) -> None:
    names = (f"metrics-{health.server_address[1]}",)
    assert check(processes(tmp_path, of_first=names, of_another=("metrics-1",))) == 0


def test_the_health_check_fails_where_nobody_listens(health: http.server.HTTPServer, tmp_path: Path) -> None:
    port = health.server_address[1]
    health.server_close()
    assert check(processes(tmp_path, of_first=("sherd-io-0", f"metrics-{port}"))) != 0


def test_the_health_check_passes_where_a_server_has_no_page_and_fails_where_there_is_no_server(tmp_path: Path) -> None:
    assert check(processes(tmp_path / "no-page", of_first=("sherd", "sherd-io-0"))) == 0
    assert check(processes(tmp_path / "no-server", of_first=("bash",))) != 0


# ---- what the image is built from


def copied_by_the_build() -> set[str]:
    """What the stage that builds copies from the source tree."""
    build = (ROOT / "Dockerfile").read_text().partition(" AS build\n")[2].partition("\nFROM ")[0]
    lines = [line.split() for line in build.splitlines() if line.startswith("COPY ")]
    return {source for words in lines for source in words[1:-1]}


def needed_to_build() -> set[str]:
    """What cargo and maturin read: each member of the workspace, their own files, and what the package consists of."""
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    files = ["Cargo.toml", "Cargo.lock", "pyproject.toml", project["project"]["readme"]]
    files += [*project["project"]["license-files"], project["tool"]["maturin"]["python-source"]]
    included = [entry["path"].split("/")[0] for entry in project["tool"]["maturin"]["include"]]
    return {*members, *files, *included}


def test_the_build_copies_every_member_of_the_workspace_and_what_the_package_consists_of() -> None:
    copied = copied_by_the_build()
    # A folder brings those in it.
    missing = {path for path in needed_to_build() if not {path, *map(str, Path(path).parents)} & copied}
    assert not missing


def test_what_is_locked_is_what_the_server_is_built_of() -> None:
    """A source distribution has the lock file as it is; with more in it than it has itself, `--locked` refuses it."""
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    needs: dict[str, set[str]] = {package["name"]: set() for package in packages}
    for package in packages:  # of some there are two versions
        needs[package["name"]] |= {need.split()[0] for need in package.get("dependencies", [])}
    needed, found = set(), {"sherd-native"}
    while found:
        needed |= found
        found = {need for name in found for need in needs[name]} - needed
    assert needs.keys() - needed == set()


def test_the_manifest_for_kubernetes_fits_the_image() -> None:
    """Directives that there are, the user, the ports and the folder of the image, and pages that are served."""
    manifest, image = (DEPLOY / "kubernetes.yaml").read_text(), (ROOT / "Dockerfile").read_text()
    words = re.findall(r"args: \[(.*)\]", manifest)[0].split(", ")
    directives = [word.removeprefix("--") for word in words if word.startswith("--")]
    variables = re.findall(r"name: SHERD_(\w+?)(?:_FILE)?,", manifest)
    assert directives
    assert variables
    for name in directives + [variable.lower().replace("_", "-") for variable in variables]:
        assert name in BY_NAME
    (user,) = set(re.findall(r"(?:runAsUser|runAsGroup|fsGroup): (\d+)", manifest))
    assert f"--uid {user}" in image
    assert f"--gid {user}" in image
    ports = " ".join(re.findall(r"containerPort: (\d+)", manifest))
    assert f"EXPOSE {ports}\n" in image
    assert "mountPath: /data}" in manifest
    assert set(re.findall(r"path: (/\w+)", manifest)) == {"/healthz", "/readyz"}


def test_what_the_image_copies_is_there_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for path in copied_by_the_build() | {"deploy"}:
        assert (ROOT / path).exists()
        assert f"!{path}" in ignored
