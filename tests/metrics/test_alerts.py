"""Alert rules fire for what they are named after and not for a healthy server, as promtool evaluates them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.sherd_only,
    pytest.mark.skipif(
        shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)"
    ),
]

rules_file = Path(__file__).parents[2] / "metrics" / "alerts" / "sherd.rules.yml"


def _connections(tmp_path: Path, values: str, hours: int, fires: bool) -> subprocess.CompletedProcess[str]:
    """promtool's verdict on whether RedisNotEnoughConnections fires after some hours of `values`, one a minute."""
    expected = (
        """
            exp_alerts:
              - exp_labels: {severity: warning, instance: cache}
                exp_annotations:
                  summary: "Nobody is connected to cache any more"
                  description: "There was no client for ten minutes, where there was one nearly all of the day before."
        """
        if fires
        else "exp_alerts: []"
    )
    test = tmp_path / "test.yml"
    test.write_text(
        f"""
rule_files: ['{rules_file}']
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'redis_connected_clients{{instance="cache"}}'
        values: '{values}'
    alert_rule_test:
      - eval_time: {hours}h
        alertname: RedisNotEnoughConnections
        {expected.strip()}
"""
    )
    return subprocess.run(
        ["promtool", "test", "rules", str(test)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("values", "hours", "fires"),
    [
        ("0x2000", 30, False),
        ("0x600 3x10 0x2000", 30, False),
        ("3x1770 0x100", 30, True),
        ("3x2000", 30, False),
    ],
    ids=["never used", "used once", "left by all", "in use"],
)
def test_a_server_that_nobody_uses_is_healthy_and_one_that_everybody_left_is_not(
    tmp_path: Path, values: str, hours: int, fires: bool
) -> None:
    verdict = _connections(tmp_path, values, hours, fires)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
