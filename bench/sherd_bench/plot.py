"""Grouped bar charts as SVG, written by hand: a plotting library would be the only thing to install for a benchmark.

One panel a pipeline depth, one group a workload, one bar a server. Text is real text and colours are chosen to be
told apart by colour-blind readers and on dark and light pages alike.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#555555")
PANEL_HEIGHT = 170
BAR_WIDTH = 16
GROUP_GAP = 22
LEFT = 62
TOP = 58
PANEL_GAP = 58
LEGEND_STEP = 110
WIDTH_MIN = 480
TICKS = 4
FONT = 'font-family="sans-serif"'


@dataclass(frozen=True)
class Panel:
    """One set of axes: a value for every group and series; None is left out."""

    title: str
    groups: Sequence[str]
    series: Mapping[str, Sequence[float | None]]


def bars(title: str, unit: str, panels: Sequence[Panel]) -> str:
    """The whole picture."""
    labels = list(panels[0].series)
    group_width = BAR_WIDTH * len(labels) + GROUP_GAP
    groups_max = max(len(panel.groups) for panel in panels)
    width = max(LEFT + 30 + group_width * groups_max, LEFT + LEGEND_STEP * len(labels), WIDTH_MIN)
    height = TOP + len(panels) * (PANEL_HEIGHT + PANEL_GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(12, 18, f"{title} ({unit})", size=14),
    ]
    for index, label in enumerate(labels):
        x = LEFT + index * LEGEND_STEP
        parts.append(f'<rect x="{x}" y="28" width="10" height="10" fill="{_colour(index)}"/>')
        parts.append(_text(x + 15, 37, label))
    for index, panel in enumerate(panels):
        parts += _panel(panel, TOP + index * (PANEL_HEIGHT + PANEL_GAP), width, group_width)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _panel(panel: Panel, top: int, width: int, group_width: int) -> list[str]:
    values = [value for series in panel.series.values() for value in series if value is not None]
    highest = _axis_end(max(values, default=0.0))
    floor = top + PANEL_HEIGHT + 14
    parts = [_text(LEFT, top + 8, panel.title, size=12)]
    for step in range(TICKS + 1):
        y = floor - PANEL_HEIGHT * 0.94 * step / TICKS
        parts.append(f'<line x1="{LEFT}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 6, y + 4, _tick(highest * step / TICKS), anchor="end"))
    for group_index, group in enumerate(panel.groups):
        left = LEFT + GROUP_GAP / 2 + group_index * group_width
        for series_index, series in enumerate(panel.series.values()):
            value = series[group_index]
            if value is None:
                continue
            length = PANEL_HEIGHT * 0.94 * value / highest
            x = left + series_index * BAR_WIDTH
            parts.append(
                f'<rect x="{x:.1f}" y="{floor - length:.1f}" width="{BAR_WIDTH - 2}" height="{length:.1f}" '
                f'fill="{_colour(series_index)}"><title>{escape(group)}: {value:.3f}</title></rect>'
            )
        middle = left + BAR_WIDTH * len(panel.series) / 2
        parts.append(_text(middle, floor + 15, group, anchor="middle", size=10))
    return parts


def _axis_end(highest: float) -> float:
    """The next number whose quarters are short to write."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= highest * 0.9999)


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _tick(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.1f}M"
    if value >= 1e4:
        return f"{value / 1e3:.0f}k"
    return f"{value:.3g}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" {FONT}>{escape(text)}</text>'
