"""The command line of the benchmarks.

A quick run writes no files unless `--out` is given: its figures are for a look while working and must not replace
those of a full run in the documentation.
"""

import argparse
import shlex
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from sherd_bench import document, procfs
from sherd_bench.load import Generator, LoadError, find_generator
from sherd_bench.servers import KINDS, REPOSITORY, ServerUnavailableError, plans
from sherd_bench.session import Parameters, Pin, Session
from sherd_bench.suites import SUITES, heavy, journal
from sherd_bench.workloads import BY_NAME

ROUNDS = 3
QUICK_ROUNDS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the suites asked for; 0 when all figures are good, 1 when a server failed or sent error replies."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options = parser.parse_args(words)
    if min(options.clients, options.keys, options.rate, *options.pipelines) < 1 or options.value_size < 0:
        parser.error("counts must be at least 1")
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    parameters = Parameters(
        clients=options.clients,
        value_size_bytes=options.value_size,
        keys=options.keys,
        rounds=max(1, rounds),
        pipelines=tuple(options.pipelines),
        workload_names=tuple(options.workloads),
        quick=options.quick,
        rate=options.rate,
        data_keys=options.data_keys,
        pins=tuple(Pin(name) for name in options.pin) or None,
    )
    folder = options.out or (None if options.quick else REPOSITORY / "docs" / "benchmarks")
    command = shlex.join(["python", "bench/run.py", *words])
    names = list(SUITES) if options.suite == "all" else [options.suite]
    failed = False
    try:
        generator = Generator(find_generator())
        extra = {name: tuple(shlex.split(text)) for name, text in options.server_args}
        server_plans = tuple(plans(options.servers, extra))
        for name in names:
            session = Session(parameters, server_plans, generator)
            failed |= _run_suite(name, session, command, folder)
    except (ServerUnavailableError, LoadError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return int(failed)


def _run_suite(name: str, session: Session, command: str, folder: Path | None) -> bool:
    """Runs, prints and writes one suite; true when a figure is not to be trusted."""
    session.log(f"suite {name}")
    findings = SUITES[name](session)
    parameters = session.parameters
    circumstances = document.Circumstances(
        command=command,
        machine=procfs.machine_facts(),
        versions=session.versions,
        settings=(
            f"{parameters.clients} connections, {parameters.value_size_bytes}-byte values, {parameters.keys:,} keys, "
            f"samples a figure: {parameters.rounds}"
        ),
        foreign_share=statistics.median(session.foreign_shares) if session.foreign_shares else None,
        failures=session.failures,
    )
    text = document.page(name, findings, circumstances)
    sys.stdout.write(text)
    sys.stdout.flush()
    if folder is not None:
        for path in document.write(folder, name, findings, text):
            session.log(f"wrote {path}")
    return bool(session.failures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run.py", description="Benchmarks of Sherd beside Redis and Valkey.")
    parser.add_argument("--suite", choices=[*SUITES, "all"], default="core")
    parser.add_argument("--servers", type=_names, help=f"comma-separated, of {', '.join(KINDS)} (all installed)")
    parser.add_argument(
        "--server-args",
        type=_server_arguments,
        action="append",
        default=[],
        metavar="SERVER=ARGS",
        help="more arguments for a server, as in sherd='--shards 2'",
    )
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--value-size", type=int, default=64, metavar="BYTES")
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, help=f"samples a figure ({ROUNDS}; quick {QUICK_ROUNDS})")
    parser.add_argument("--pipelines", type=_numbers, default=[1, 16, 64], metavar="N,N")
    parser.add_argument(
        "--workloads",
        type=_workloads,
        default=[],
        help=f"of {', '.join(BY_NAME)}; parts of the journal suite: {', '.join(journal.PARTS)}",
    )
    parser.add_argument("--data-keys", type=_count, metavar="N", help="keys that the journal suite saves and loads")
    parser.add_argument("--rate", type=int, default=50_000, help="requests a second of the latency suite")
    parser.add_argument(
        "--pin",
        choices=[pin.value for pin in Pin],
        action="append",
        default=[],
        help="server and generator on different cores, the same or any; may be repeated (each suite's own choice)",
    )
    parser.add_argument("--quick", action="store_true", help="small runs for a look; writes files only with --out")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the pages go (docs/benchmarks)")
    return parser


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return count


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _workloads(text: str) -> list[str]:
    names = [name.lower() for name in _names(text)]
    if unknown := [name for name in names if name not in {*BY_NAME, *heavy.NAMES, *journal.PARTS}]:
        raise argparse.ArgumentTypeError(f"unknown workload {unknown[0]}")
    return names


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError("numbers separated by commas") from error


def _server_arguments(text: str) -> tuple[str, str]:
    name, separator, arguments = text.partition("=")
    if not separator or name not in KINDS:
        raise argparse.ArgumentTypeError("SERVER=ARGS")
    return name, arguments
