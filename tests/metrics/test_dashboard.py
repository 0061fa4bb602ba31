"""The dashboard and the alert rules against a real Prometheus: every query parses, and every panel shows something."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sherd.observability.metrics_table import metric_names
from tests.metrics.served import ServedMetrics, under_load, use_everything
from tests.support.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sherd_only

root = Path(__file__).parents[2]
dashboard = json.loads((root / "grafana" / "dashboards" / "sherd.json").read_text())
rules_file = root / "metrics" / "alerts" / "sherd.rules.yml"
queries = [
    (panel["title"], target["expr"])
    for panel in dashboard["panels"]
    for target in panel.get("targets", ())
]  # fmt: skip

scrapes_min = 6
wait_seconds_max = 90.0

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed (Debian package prometheus)"
)


class Prometheus:
    """A Prometheus that scrapes some servers every second."""

    def __init__(self, directory: Path, ports: list[int]) -> None:
        self.port = free_port()
        targets = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
        config = directory / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{rules_file}']\n"
            "scrape_configs:\n"
            "  - job_name: sherd\n"
            "    static_configs:\n"
            f"      - targets: [{targets}]\n"
        )
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of the HTTP API; the error text fails a test."""
        body = urllib.parse.urlencode(parameters).encode() if parameters else None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", body, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            pytest.fail(f"{parameters}: {error.read().decode()}")

    def query(self, expression: str) -> list[Any]:
        """The series that an expression gives now."""
        result: list[Any] = self.ask("query", query=expression)["result"]
        return result

    def is_ready(self) -> bool:
        """Whether it answers queries: at first it listens and refuses them."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=20) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def await_scrapes(self, targets: int) -> None:
        """Waits until each target was scraped often enough for rates."""
        deadline = time.monotonic() + wait_seconds_max
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            wanted = f"count_over_time(up[1m]) >= {scrapes_min} and up == 1"
            if self.is_ready() and len(self.query(wanted)) == targets:
                return
            time.sleep(0.3)
        pytest.fail(f"the targets were not scraped {scrapes_min} times: {self.log.read_text()}")

    def stop(self) -> None:
        """Ends the process."""
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus watching a loaded server, its replica, and one in cluster mode."""
    plain = ServedMetrics(enable_debug_command="yes", appendonly="yes", repl_diskless_sync_delay="0")
    replica = ServedMetrics(replicaof=f"127.0.0.1 {plain.server.port}")
    cluster = ServedMetrics(enable_debug_command="yes", cluster_enabled="yes")
    all_servers = (plain, replica, cluster)
    try:
        server = Prometheus(tmp_path_factory.mktemp("prometheus"), [one.metrics_port for one in all_servers])
        try:
            use_everything(plain)
            with under_load(plain, cluster):
                server.await_scrapes(len(all_servers))
                yield server
        finally:
            server.stop()
    finally:
        for one in reversed(all_servers):
            one.stop()


def _fill_in(expression: str) -> str:
    filled = expression.replace("$__rate_interval", "30s").replace("$job", ".*").replace("$instance", ".*")
    assert "$" not in filled
    return filled


def test_every_metric_has_a_panel() -> None:
    """Whoever adds a series shows it."""
    shown = set(re.findall(r"\b(?:redis|sherd)_\w+", " ".join(expression for _, expression in queries)))
    shown |= {name.removesuffix(suffix) for name in shown for suffix in ("_bucket", "_sum", "_count")}
    assert not set(metric_names()) - shown


def test_every_metric_of_a_panel_or_an_alert_exists() -> None:
    """Also where there is no Prometheus to ask."""
    known = {f"{name}{suffix}" for name in metric_names() for suffix in ("", "_bucket", "_sum", "_count")}
    alerts = re.findall(r"expr: (.*?)\n +for:", rules_file.read_text(), re.DOTALL)
    assert len(alerts) > 5
    expressions = " ".join([*(expression for _, expression in queries), *alerts])
    without_labels = re.sub(r"\{[^}]*\}", "", expressions)
    assert set(re.findall(r"\b(?:redis|sherd)_\w+", without_labels)) - known == set()


def test_the_dashboard_is_what_its_panels_give() -> None:
    """The file is generated: python grafana/generate.py."""
    program = "import generate, sys; sys.stdout.write(generate.render())"
    made = subprocess.run(
        [sys.executable, "-c", program], cwd=root / "grafana", capture_output=True, text=True, check=True
    ).stdout
    assert made == (root / "grafana" / "dashboards" / "sherd.json").read_text(), "run python grafana/generate.py"


def test_panels_do_not_overlap_and_have_their_own_numbers() -> None:
    """The layout that Grafana would otherwise rearrange."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + row) for column in range(place["w"]) for row in range(place["h"])
        }  # fmt: skip
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))


def test_provisioning_names_the_data_source_that_the_dashboard_can_choose() -> None:
    """One data source of type prometheus, one directory of dashboards."""
    sources = (root / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text()
    providers = (root / "grafana" / "provisioning" / "dashboards" / "sherd.yml").read_text()
    assert "type: prometheus" in sources
    assert "path: /var/lib/grafana/dashboards" in providers
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource", "job", "instance"]


@needs_prometheus
@pytest.mark.parametrize(("title", "expression"), queries, ids=[f"{title}-{n}" for n, (title, _) in enumerate(queries)])
def test_every_panel_query_gives_data_on_a_loaded_server(prometheus: Prometheus, title: str, expression: str) -> None:
    """Parsed and answered by Prometheus itself."""
    assert prometheus.query(_fill_in(expression)), title


@needs_prometheus
def test_the_variables_of_the_dashboard_have_values(prometheus: Prometheus) -> None:
    """Jobs and instances come from the series that only Sherd has."""
    found = prometheus.query("sherd_build_info")
    assert {series["metric"]["job"] for series in found} == {"sherd"}
    assert len({series["metric"]["instance"] for series in found}) == 3


@needs_prometheus
def test_every_alert_expression_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    """Prometheus loaded the rules and asked each at least once."""
    deadline = time.monotonic() + wait_seconds_max
    while True:
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        if rules and all(rule["health"] != "unknown" for rule in rules):
            break
        assert time.monotonic() < deadline, "the rules were never evaluated"
        time.sleep(0.3)
    assert not [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"]
    assert all(rule["annotations"]["summary"] and rule["annotations"]["description"] for rule in rules)
    names = [rule["name"] for rule in rules]
    assert len(names) == len(set(names))


@needs_prometheus
def test_no_alert_fires_on_a_healthy_server(prometheus: Prometheus) -> None:
    """Rules that always fire teach people to look away."""
    firing = {
        alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"] if alert["state"] == "firing"
    }
    assert not firing


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)")
def test_promtool_accepts_the_alert_rules() -> None:
    """The form that Prometheus loads, by its own judge."""
    checked = subprocess.run(
        ["promtool", "check", "rules", str(rules_file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
