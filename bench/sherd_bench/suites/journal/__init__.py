"""The journal suite: what it costs to keep data on disk and on replicas, and for how long others wait meanwhile.

A part is a module with `tables(session, score)`; `--workloads` names the parts that are wanted. What is aimed at stands
in one table at the page's top, each row with its figures from the same run (`score.py`).

- `requests`: an append-only file's cost a request, and what readers lose to writers that wait for the disk
- `stalls`: the longest wait of a probe while a snapshot, a rewrite or a full sync goes on under writes, and its memory
- `snapshots`: how long a snapshot takes, and what others lose meanwhile
- `loading`: a start with a snapshot, or with an append-only file
- `replicas`: a full sync from end to end, and the cost of a replicated write on both sides
- `plans`, `work`: the sizes of the data, and what is started in a server and waited for
"""

from collections.abc import Callable

from sherd_bench.document import Findings
from sherd_bench.session import Session
from sherd_bench.suites.journal import loading, plans, replicas, requests, snapshots, stalls, work
from sherd_bench.suites.journal.score import Score
from sherd_bench.tables import Table

PARTS: dict[str, Callable[[Session, Score], list[Table]]] = {
    "requests": requests.tables,
    "stalls": stalls.tables,
    "snapshots": snapshots.tables,
    "loading": loading.tables,
    "replicas": replicas.tables,
}


def run(session: Session) -> Findings:
    """Every part, or those that are named, and what came of the aims."""
    score = Score([plan.label for plan in session.plans])
    wanted = [name for name in PARTS if name in session.parameters.workload_names] or list(PARTS)
    tables = [table for name in wanted for table in PARTS[name](session, score)]
    method = (
        f"Snapshots, loads and full syncs have {plans.keys(session):,} keys with names of 14 bytes and values of "
        f"{plans.VALUE_BYTES}; collections have {plans.elements(session):,} elements. Times and CPU are medians of the "
        "rounds. CPU is the whole process's with its children: all "
        f"threads, user and system. The disk makes {work.syncs_a_second():.0f} syncs of one page a second."
    )
    return Findings("What it costs to keep data", method, [score.table(), *tables], {})
