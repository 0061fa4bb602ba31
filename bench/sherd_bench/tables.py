"""Tables: rows of text, printed as aligned Markdown, so that they read well in a terminal too."""

from collections.abc import Sequence
from dataclasses import dataclass, field

REFERENCE = "valkey"
BEFORE = "before"
# With more servers the ratios would double a table that is already too wide to read.
RATIO_SERVERS_MAX = 4


@dataclass
class Table:
    """A title, a heading row and rows; the first column is text, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""

    def markdown(self) -> str:
        """The table with its title as a heading."""
        cells = [list(self.columns), *self.rows]
        widths = [max(3, *(len(row[index]) for row in cells)) for index in range(len(self.columns))]
        lines = [f"### {self.title}", ""]
        if self.note:
            lines += [self.note, ""]
        lines.append(_line(cells[0], widths))
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines.append(_line(rule, widths))
        lines += [_line(row, widths) for row in cells[1:]]
        return "\n".join(lines) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    padded = [cells[0].ljust(widths[0]), *numbers]
    return f"| {' | '.join(padded)} |"


def number(value: float) -> str:
    """About three significant digits, never in exponent form."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}"


def _base(labels: Sequence[str]) -> str | None:
    """What the others are divided by: another state of the project where it takes part, else the reference."""
    base = BEFORE if BEFORE in labels else REFERENCE
    return base if base in labels and len(labels) <= RATIO_SERVERS_MAX else None


def ratio_columns(labels: Sequence[str]) -> list[str]:
    """Headings of the ratios: every server against one of them, where both take part."""
    base = _base(labels)
    return [] if base is None else [f"{label}/{base}" for label in labels if label != base]


def ratios(values: dict[str, float]) -> list[str]:
    """The cells under `ratio_columns`."""
    base = _base(list(values))
    if base is None:
        return []
    return [f"{value / values[base]:.2f}" if values[base] else "-" for label, value in values.items() if label != base]
