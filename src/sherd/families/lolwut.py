"""LOLWUT: a broken pot, each time another one, and the version.

A vase is cut into pieces, each point belonging to the nearest of a few random centres; every piece gets its own shade
and cracks stay between them. Sizes come from the client and are bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sherd.families.numbers import read_integer
from sherd.observability.node import Node
from sherd.resp import Reply, Verbatim
from sherd.spec import Request, command

if TYPE_CHECKING:
    import random

_SHADES = "░▒▓█"
_COLUMNS, _ROWS, _PIECES = 48, 20, 12
_COLUMNS_MAX, _ROWS_MAX, _PIECES_MAX = 80, 32, 16
# A character is about twice as high as it is wide.
_ASPECT = 2.0


@command(
    "lolwut",
    reads="nothing",
    arity=-1,
    flags="readonly fast",
    group="server",
    since="5.0.0",
    summary="Draws something and tells the version.",
    syntax="[VERSION version]",
)
def lolwut(request: Request) -> Reply:
    """Text; `LOLWUT [VERSION n] [columns [rows [pieces]]]`, there is one drawing for all versions."""
    words = request.args[1:]
    if len(words) >= 2 and words[0].lower() == b"version":
        read_integer(words[1])
        words = words[2:]
    columns, rows, pieces = _sizes(words)
    import random  # for a drawing only

    picture = draw_pot(columns, rows, pieces, random.Random())  # noqa: S311 - a drawing
    return Verbatim(
        "txt", f"{picture}\n\nA sherd is a piece of a pot. Sherd ver. {request.services.get(Node).version}\n"
    )


def _sizes(words: Sequence[bytes]) -> tuple[int, int, int]:
    defaults = ((_COLUMNS, _COLUMNS_MAX), (_ROWS, _ROWS_MAX), (_PIECES, _PIECES_MAX))
    given = [read_integer(word) for word in words[: len(defaults)]]
    columns, rows, pieces = (
        max(1, min(given[index], maximum)) if index < len(given) else default
        for index, (default, maximum) in enumerate(defaults)
    )
    return columns, rows, pieces


def draw_pot(columns: int, rows: int, pieces: int, chance: random.Random) -> str:
    """The drawing: `rows` lines of at most `columns` characters."""
    centres = [(chance.uniform(0, columns), chance.uniform(0, rows) * _ASPECT) for _ in range(pieces)]
    shades = [chance.choice(_SHADES) for _ in range(pieces)]
    lines = []
    for row in range(rows):
        width = _half_width((row + 0.5) / rows) * columns
        # Of the distance to each centre only the horizontal part changes within a row.
        near = [(x, (row * _ASPECT - y) ** 2) for x, y in centres]
        line = "".join(
            _cell(column, near, shades) if abs(column + 0.5 - columns / 2) <= width else " "
            for column in range(columns)
        )
        lines.append(line.rstrip())
    return "\n".join(lines)


def _half_width(height: float) -> float:
    """Half of the vase's width as a share of the picture's, from the rim (0) to the foot (1)."""
    if height < 0.1:
        return 0.3
    if height < 0.2:
        return 0.2
    return max(0.14, 0.5 - 1.9 * (height - 0.55) ** 2 - (0.1 if height < 0.3 else 0.0))


def _cell(x: float, centres: Sequence[tuple[float, float]], shades: Sequence[str]) -> str:
    distances = [(x - cx) * (x - cx) + vertical for cx, vertical in centres]
    nearest = min(distances)
    crack = (nearest**0.5 + 1.0) ** 2
    if sum([distance < crack for distance in distances]) > 1:
        return " "
    return shades[distances.index(nearest)]
