"""The suites end to end, against whatever Redis is installed, with so few requests that only the wiring is tested."""

import shutil
from pathlib import Path

import pytest
from sherd_bench import cli, session
from sherd_bench.servers import KINDS
from sherd_bench.suites import instructions
from sherd_bench.suites.journal import plans, requests, snapshots, stalls

REDIS = "redis"


@pytest.fixture(autouse=True)
def few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick run is still too long for a test."""
    monkeypatch.setattr(session, "REQUESTS", {1: 600, 16: 6000, 64: 6000})
    if KINDS[REDIS].find() is None:
        pytest.skip("no Redis is installed")


def run(*words: str) -> int:
    """A quick run against Redis only."""
    return cli.main(["--quick", "--servers", REDIS, "--keys", "500", "--clients", "4", *words])


def test_the_core_suite_writes_a_page_and_its_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every workload has a row at every pipeline depth, and the page is what stdout shows."""
    assert run("--suite", "core", "--pipelines", "1,16", "--out", str(tmp_path)) == 0
    text = (tmp_path / "core.md").read_text()
    assert text == capsys.readouterr().out
    for name in ("SET", "INCR", "RPOP", "SPOP", "LRANGE_100", "MSET"):
        # Two depths in each of three tables.
        assert text.count(f"| {name} ") == 6, name
    assert {path.name for path in tmp_path.glob("*.svg")} == {
        "core-basic-cpu-apart.svg",
        "core-structures-cpu-apart.svg",
    }


def test_the_scripts_suite_runs_scripts_without_errors(tmp_path: Path) -> None:
    """Every script has a row; one that fails would end the run with 1."""
    assert run("--suite", "scripts", "--pipelines", "16", "--out", str(tmp_path)) == 0
    text = (tmp_path / "scripts.md").read_text()
    for name in ("EVAL_GET", "EVAL_20_SETS", "EVAL_LOOP", "EVAL_JSON"):
        assert text.count(f"| {name} ") == 3, name
    # The one beside it in Python is Sherd's alone.
    assert (text.count("| EVAL_RATE_LIMIT "), text.count("| PYTHON_RATE_LIMIT ")) == (3, 0)
    for row in ("| another process runs |", "| a script's own time  |"):
        assert row in text, text


def test_the_messages_suite_counts_what_is_delivered(tmp_path: Path) -> None:
    """A row for each number of subscribers and depth."""
    assert run("--suite", "messages", "--out", str(tmp_path)) == 0
    text = (tmp_path / "messages.md").read_text()
    for row in ("| 1           |        1 |", "| 100         |       50 |", "| 1000        |       10 |"):
        assert row in text, text
    assert "| PUBLISH | " in text
    assert "| 40 messages a second | " in text
    assert "| median" in text
    assert "| 99th percentile" in text
    assert "| 5,000" in text
    assert "The kernel's share" in text


def test_the_tls_suite_counts_requests_and_handshakes(tmp_path: Path) -> None:
    """With and without encryption, new and resumed; skipped where nobody makes certificates."""
    if KINDS["sherd"].find() is None:
        pytest.skip("sherd, which makes the certificates, is not installed")
    assert run("--suite", "tls", "--out", str(tmp_path)) == 0
    text = (tmp_path / "tls.md").read_text()
    for row in ("| plain  |        1 |", "| TLS    |       16 |"):
        assert row in text, text
    # In the table of costs and in that of rates.
    assert (text.count("| TLS 1.3 "), text.count("| TLS 1.2 ")) == (4, 4)


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind, which counts instructions, is not installed")
def test_the_instructions_suite_counts_rows_of_other_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is measured elsewhere, by the same names; a GET over a pipeline takes less than one by itself."""
    monkeypatch.setattr(instructions, "REQUESTS", {1: 200, 16: 1600})
    words = ("--workloads", "get,sinter", "--pipelines", "1,16")
    assert run("--suite", "instructions", *words, "--out", str(tmp_path)) == 0
    rows = [line.split("|")[1:4] for line in (tmp_path / "instructions.md").read_text().splitlines()]
    counts = {(row[0].strip(), row[1].strip()): row[2].strip() for row in rows if len(row) == 3}
    single, many = (int(counts["GET", depth].replace(",", "")) for depth in ("1", "16"))
    assert single > many > 100, counts
    assert {("GET, tracking on", "16"), ("SINTER of 10k and 15k", "1")} <= counts.keys()


def test_the_access_suite_compares_ways_to_use_a_server(tmp_path: Path) -> None:
    """A row for each command and way; a right that is missing would end the run with 1."""
    assert run("--suite", "access", "--out", str(tmp_path)) == 0
    text = (tmp_path / "access.md").read_text()
    for name in ("SET", "GET"):
        for way in ("everything allowed", "10 key patterns", "tracking on"):
            assert text.count(f"| {name}     | {way.rjust(18)} |") == 1, text


def test_the_journal_suite_measures_every_aim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for every aim; what has no reference to be compared with is neither met nor missed."""
    for name, size in (("QUICK_KEYS", 2000), ("QUICK_ELEMENTS", 1000), ("QUICK_WRITES_PER_SECOND", 2000),
                       ("QUICK_COLLECTION_WRITES_PER_SECOND", 2000)):  # fmt: skip
        monkeypatch.setattr(plans, name, size)
    monkeypatch.setattr(requests, "QUICK_READ_SECONDS", 0.1)
    monkeypatch.setattr(snapshots, "QUICK_BUSY_SECONDS", 0.1)
    monkeypatch.setattr(stalls, "ALONE_SECONDS_MIN", 0.1)
    assert run("--suite", "journal", "--out", str(tmp_path)) == 0
    text = (tmp_path / "journal.md").read_text()
    aims = text.partition("### What is aimed at")[2].partition("###")[0]
    for aim in (
        "| SET pipeline 16, everysec: server CPU a request, us",
        "| SET pipeline 16, always: server CPU a request, us",
        "| SET pipeline 1, always: thousand requests a second",
        "| GETs of others beside `always`, share of their rate without",
        "| longest stall, BGSAVE, 2,000 small keys: ms beyond the load alone",
        "| longest stall, full sync, collections of 1,000: ms beyond the load alone",
        "| p99.9 of HSET, BGREWRITEAOF, collections of 1,000: ms",
        "| memory above the data and 64 MiB during a snapshot, share",
        "| snapshot of 2,000 keys: seconds until it is written",
        "| throughput of others during a snapshot, share",
        "| loading 2,000 keys, snapshot: seconds",
        "| loading 2,000 keys, append-only file: seconds",
        "| full sync of 2,000 keys: seconds",
        "| replicated SET pipeline 16: CPU of the primary, us",
        "| replicated SET pipeline 16: CPU of the replica, us",
    ):
        assert aim in aims, aim
    assert "yes" not in aims


def test_a_part_of_the_journal_suite_can_be_asked_for(tmp_path: Path) -> None:
    """A look at one part, with as many keys as are wanted."""
    assert run("--suite", "journal", "--workloads", "loading", "--data-keys", "1234", "--out", str(tmp_path)) == 0
    text = (tmp_path / "journal.md").read_text()
    assert "### A start with 1,234 keys, unpinned: seconds until PONG" in text
    assert "### A snapshot of" not in text


def test_a_server_that_answers_with_errors_fails_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With no memory allowed, writes are refused: a figure for refusing is not one for writing."""
    arguments = ["--server-args", "redis=--maxmemory 1", "--suite", "throughput", "--workloads", "set"]
    assert run(*arguments, "--pipelines", "16") == 1
    assert "OOM" in capsys.readouterr().out


def test_a_quick_run_leaves_the_published_pages_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Figures from a quick look must not replace those of a full run."""
    monkeypatch.setattr(cli, "REPOSITORY", tmp_path)
    assert run("--suite", "throughput", "--workloads", "get", "--pipelines", "16") == 0
    assert not list(tmp_path.iterdir())


def test_a_server_that_cannot_start_ends_in_its_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    """The reader needs the server's complaint, not a timeout."""
    assert run("--server-args", "redis=--no-such-option 1") == 1
    assert "no-such-option" in capsys.readouterr().err


def test_the_eviction_suite_fills_a_cache_by_each_policy(tmp_path: Path) -> None:
    """A row for each policy, and ratios that such a cache can have."""
    assert run("--suite", "eviction", "--out", str(tmp_path)) == 0
    text = (tmp_path / "eviction.md").read_text()
    for policy in ("allkeys-lru", "allkeys-lfu"):
        assert text.count(f"| {policy} |") == 2, text
    ratios = [float(row.split("|")[2]) for row in text.partition("### Hit ratio")[2].splitlines() if "allkeys" in row]
    assert len(ratios) == 2
    assert all(0.3 < ratio < 0.99 for ratio in ratios), text
