"""Writes dashboards/sherd.json from the panels: `python grafana/generate.py`.

Grafana's own JSON is ten lines of layout around every query; kept by hand, nobody reviews it. The file is checked in,
and a test compares it with what this gives.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from panels import ROWS, Panel

OUTPUT = Path(__file__).parent / "dashboards" / "sherd.json"
FILTER = 'job=~"$job", instance=~"$instance"'
_COLUMNS = 24
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """The whole dashboard."""
    return {
        "annotations": {"list": []},
        "description": "Sherd: clients, commands, memory, keys, shards and threads of one or several instances.",
        "editable": True,
        "graphTooltip": 1,
        "links": [],
        "panels": list(_panels()),
        "refresh": "30s",
        "schemaVersion": 39,
        "tags": ["sherd", "redis"],
        "templating": {"list": _variables()},
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "title": "Sherd",
        "uid": "sherd",
        "version": 1,
    }


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    job = _query_variable("job", "Job", "label_values(sherd_build_info, job)")
    instance = _query_variable("instance", "Instance", 'label_values(sherd_build_info{job=~"$job"}, instance)')
    return [source, job, instance]


def _query_variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "refresh": 2,
        "sort": 1,
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for title, panels in ROWS:
        number += 1
        yield {
            "id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
            "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": top},
        }  # fmt: skip
        top += 1
        left, height = 0, 0
        for panel in panels:
            if left + panel.width > _COLUMNS:
                left, top, height = 0, top + height, 0
            number += 1
            yield _panel(number, panel, left, top)
            left, height = left + panel.width, max(height, panel.height)
        top += height


def _panel(number: int, panel: Panel, left: int, top: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": {"h": panel.height, "w": panel.width, "x": left, "y": top},
        "targets": [_target(index, panel, *query) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _field_defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _target(index: int, panel: Panel, expression: str, legend: str) -> dict[str, Any]:
    target: dict[str, Any] = {
        "refId": chr(ord("A") + index),
        "datasource": _DATASOURCE,
        "expr": expression.replace("%s", FILTER),
        "legendFormat": legend or "__auto",
    }
    if panel.kind in ("table", "bargauge"):
        target |= {"instant": True, "range": False, "format": "table" if panel.kind == "table" else "time_series"}
    return target


def _field_defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.thresholds:
        steps = [{"value": value, "color": color} for value, color in panel.thresholds]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        defaults |= {
            "min": 0,
            "custom": {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "stacking": stacking},
        }
    return defaults


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "table":
        return {"showHeader": True}
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "bargauge":
        return {"orientation": "horizontal", "displayMode": "basic", "reduceOptions": reduce}
    return {"colorMode": "value", "graphMode": "area", "reduceOptions": reduce}


def render() -> str:
    """The text of the file."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(render(), encoding="utf-8")
