"""The aims of the journal: each with the figures of one run, its bound, and whether it was met."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sherd_bench.tables import REFERENCE, Table, number

MEASURED = "sherd"


@dataclass(frozen=True)
class Bound:
    """What a figure, or its ratio to the reference's, is to be: at most or at least this."""

    value: float
    is_most: bool = True
    of_reference: bool = True
    unit: str = ""

    def text(self) -> str:
        """As in a heading."""
        times = f" x {REFERENCE}" if self.of_reference else ""
        return f"{'<=' if self.is_most else '>='} {number(self.value)}{self.unit}{times}"

    def is_met_by(self, value: float) -> bool:
        """Whether a figure, or a ratio, keeps to it."""
        return value <= self.value if self.is_most else value >= self.value


@dataclass
class Score:
    """The rows so far."""

    labels: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)

    def add(self, aim: str, values: dict[str, float], bound: Bound) -> None:
        """A row of figures by server; those of servers that have none are left out."""
        cells = [number(values[label]) if label in values else "-" for label in self.labels]
        judged = values.get(MEASURED)
        if judged is not None and bound.of_reference:
            base = values.get(REFERENCE)
            judged = judged / base if base else None
        shown = "-" if judged is None else f"{number(judged)}{bound.unit}"
        met = "-" if judged is None else "yes" if bound.is_met_by(judged) else "no"
        self.rows.append([aim, *cells, shown, bound.text(), met])

    def table(self) -> Table:
        """All of them."""
        table = Table("What is aimed at", ["figure", *self.labels, f"{MEASURED}'s", "aim", "met"])
        table.rows = self.rows
        return table
