"""Graphs of text: a column a value, as LATENCY GRAPH draws them.

The form is that of redis-cli's users' memory: four rows, each of three heights drawn `_`, `o`, `#` over a stem of `|`,
an empty row, then the labels from top to bottom. The lowest value stands on the floor, the highest at the top.
"""

from __future__ import annotations

from collections.abc import Sequence

_HEIGHTS = "_o#"
_STEM = "|"


def sparkline(values: Sequence[int], labels: Sequence[str], *, rows: int = 4, columns: int = 80) -> str:
    """Lines of text, each ended by a line break; values beyond `columns` go on below, in a graph of their own."""
    low, high = min(values, default=0), max(values, default=0)
    parts = []
    for start in range(0, len(values), columns):
        heights = [_height(value - low, high - low, rows) for value in values[start : start + columns]]
        lines = [
            *("".join(_cell(height, row) for height in heights) for row in reversed(range(rows))),
            *_label_rows(labels[start : start + columns]),
        ]
        parts.append("".join(f"{line}\n" for line in lines))
    return "".join(parts)


def _height(value: int, span: int, rows: int) -> int:
    steps = rows * len(_HEIGHTS)
    return min(steps - 1, value * steps // span) if span else 0


def _cell(height: int, row: int) -> str:
    step = height - row * len(_HEIGHTS)
    if step < 0:
        return " "
    return _HEIGHTS[step] if step < len(_HEIGHTS) else _STEM


def _label_rows(labels: Sequence[str]) -> list[str]:
    longest = max(map(len, labels), default=0)
    if not longest:
        return []
    return [
        " " * len(labels),
        *("".join(label[index : index + 1] or " " for label in labels) for index in range(longest)),
    ]


def elapsed_label(seconds: int) -> str:
    """A time span in its largest unit: 5s, 12m, 3h, 9d."""
    for unit, length, limit in (("s", 1, 60), ("m", 60, 3600), ("h", 3600, 86400)):
        if seconds < limit:
            return f"{seconds // length}{unit}"
    return f"{seconds // 86400}d"
