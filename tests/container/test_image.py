"""The image is built as its Dockerfile says, starts by its entry point, answers its health check, and stops.

Without a registry of images: the bases are a small root of this machine's own Debian (`make_base.sh`) and, to build, this
machine's Rust. Packages come from where apt, pip and cargo of this machine get theirs. buildah runs each step in a
chroot, so no daemon and no user namespaces are needed, and the server's port is one of this machine's.

The root and what cargo has built are kept in `target/container`: a second run takes seconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import free_port
from tests.support.wire import ConnectionClosed, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sherd_only

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "target" / "container"
QUICK = ("LTO=off", "OPT_LEVEL=0", "CODEGEN_UNITS=16")
BUILD_SECONDS_MAX = 1500
START_SECONDS_MAX = 60
# What package managers need of this machine in order to get packages as it does.
LENT = ("/etc/apt", "/etc/ssl/certs", "/etc/pip.conf", os.environ.get("PIP_FIND_LINKS", "/nowhere"))


def why_not() -> str:
    """What keeps the image from being built here, or nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a root file system is made by root on Linux only"
    missing = [name for name in ("buildah", "debootstrap", "apt-get", "rustc") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


if why_not():
    pytest.skip(why_not(), allow_module_level=True)


class Buildah:
    """buildah with a store of its own, so that neither images nor containers of this machine are touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]

    def line(self, *words: str) -> list[str]:
        return ["buildah", *self.options, *words]

    def __call__(self, *words: str, timeout: float = 300) -> str:
        finished = subprocess.run(self.line(*words), capture_output=True, text=True, timeout=timeout, check=False)
        assert finished.returncode == 0, f"buildah {words[0]}: {finished.stdout[-3000:]}\n{finished.stderr[-6000:]}"
        return finished.stdout.strip()

    def base(self, name: str, root: Path, **environment: str) -> str:
        """An image of a root."""
        container = self("from", "scratch")
        self("add", "--quiet", container, str(root), "/")
        for variable, value in environment.items():
            self("config", "--env", f"{variable}={value}", container)
        self("commit", "--quiet", "--rm", container, f"localhost/{name}")
        return f"localhost/{name}"


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    tool = Buildah(tmp_path_factory.mktemp("buildah"))
    made = subprocess.run(
        [str(ROOT / "tests/container/make_base.sh"), str(KEPT)],
        capture_output=True, text=True, timeout=BUILD_SECONDS_MAX, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        pytest.skip(f"no base can be made here: {(made.stdout + made.stderr).strip().splitlines()[-1:]}")
    yield tool
    with contextlib.suppress(AssertionError):
        tool("rm", "--all")
        tool("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def image(buildah: Buildah) -> str:
    """Built by the Dockerfile, without the optimisation that takes most of the time."""
    toolchain = subprocess.run(
        ["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True
    ).stdout.strip()
    registry = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "registry"
    registry.mkdir(parents=True, exist_ok=True)
    (KEPT / "target").mkdir(exist_ok=True)
    path = "/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    base = buildah.base("base", KEPT / "root", PATH=path, CARGO_HOME="/usr/local/cargo")
    volumes = [
        *(f"{lent}:{lent}:ro" for lent in LENT if Path(lent).exists()),
        f"{toolchain}:/usr/local/rust:ro",
        f"{registry}:/usr/local/cargo/registry",
        f"{KEPT / 'target'}:/source/target",
    ]
    buildah(
        "build", "--isolation", "chroot", "--network", "host", "--tag", "localhost/sherd",
        "--build-arg", f"BUILD_BASE={base}", "--build-arg", f"RUN_BASE={base}",
        *(word for setting in QUICK for word in ("--build-arg", f"CARGO_PROFILE_RELEASE_{setting}")),
        *(word for volume in volumes for word in ("--volume", volume)),
        str(ROOT),
        timeout=BUILD_SECONDS_MAX,
    )  # fmt: skip
    return "localhost/sherd"


@contextlib.contextmanager
def running(buildah: Buildah, image: str, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A container whose entry point was given these arguments."""
    container = buildah("from", "--pull-never", image)
    entry = ["bash", "/usr/local/bin/entrypoint.sh", *arguments]
    line = buildah.line("run", "--isolation", "chroot", "--network", "host", container, "--", *entry)
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield container, process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        buildah("rm", container)


def server_pid(port: int) -> int:
    """The process that was told to serve this port: a chroot does not hide it."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if b"serve" in words and str(port).encode() in words and b"sherd" in words[1]:
                return int(entry.name)
    raise AssertionError("the server runs")


def answering(port: int) -> Wire:
    """A client, once the server answers."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ConnectionClosed):
            wire = Wire(("127.0.0.1", port))
            wire.call("PING")
            return wire
        time.sleep(0.1)
    raise AssertionError("the server did not start")


def health(buildah: Buildah, container: str, pid: int) -> int:
    """The exit code of the health check; in a container of its own, the server would be process 1."""
    script = f"mkdir -p /tmp/proc && ln -sfn /proc/{pid} /tmp/proc/1 && HEALTHCHECK_PROC=/tmp/proc bash /usr/local/bin/healthcheck.sh"
    line = buildah.line("run", "--isolation", "chroot", "--network", "host", container, "--", "bash", "-c", script)
    return subprocess.run(line, capture_output=True, timeout=60, check=False).returncode


def test_the_image_serves_and_its_health_check_finds_the_port(buildah: Buildah, image: str) -> None:
    """As the user sherd, with its files in /data; the port of the metrics page was changed while it ran."""
    port, metrics_port, other_port = free_port(), free_port(), free_port()
    with running(buildah, image, "--port", str(port), "--metrics-port", str(metrics_port)) as (container, process):
        with answering(port) as wire:
            assert wire.call("SET", "k", "v").raw == b"+OK\r\n"
            assert wire.value("CONFIG", "GET", "dir") == [b"dir", b"/data"]
            pid = server_pid(port)
            assert Path(f"/proc/{pid}").stat().st_uid == 999
            assert health(buildah, container, pid) == 0
            assert wire.call("CONFIG", "SET", "metrics-port", str(other_port)).raw == b"+OK\r\n"
            assert health(buildah, container, pid) == 0
        os.kill(pid, signal.SIGTERM)
        assert process.wait(30) == 0
        assert health(buildah, container, pid) != 0


def test_the_image_tells_its_version(buildah: Buildah, image: str) -> None:
    """An option that is not the server's."""
    with running(buildah, image, "--version") as (_, process):
        assert process.wait(60) == 0
