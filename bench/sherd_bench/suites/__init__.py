"""The suites. Each module has `run(session) -> Findings` and explains in its docstring what it measures and why so."""

from collections.abc import Callable

from sherd_bench.document import Findings
from sherd_bench.session import Session
from sherd_bench.suites import (
    access,
    control,
    core,
    costs,
    eviction,
    heavy,
    instructions,
    journal,
    latency,
    memory,
    messages,
    pauses,
    scripts,
    shards,
    start,
    throughput,
    tls,
)

SUITES: dict[str, Callable[[Session], Findings]] = {
    "core": core.run,
    "throughput": throughput.run,
    "heavy": heavy.run,
    "journal": journal.run,
    "latency": latency.run,
    "memory": memory.run,
    "control": control.run,
    "costs": costs.run,
    "eviction": eviction.run,
    "pauses": pauses.run,
    "shards": shards.run,
    "start": start.run,
    "scripts": scripts.run,
    "messages": messages.run,
    "tls": tls.run,
    "access": access.run,
    # The last one, as not everybody has callgrind.
    "instructions": instructions.run,
}
