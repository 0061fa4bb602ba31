"""The page of one suite: what was run, on what, the tables and the pictures."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sherd_bench.procfs import MachineFacts
from sherd_bench.tables import Table

# Above this share of other work, scheduling noise outweighs most differences between servers.
FOREIGN_SHARE_MAX = 0.1


@dataclass
class Findings:
    """What a suite returns."""

    title: str
    method: str
    tables: list[Table]
    # File name without the suite's name -> SVG text.
    pictures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Circumstances:
    """What the figures depend on."""

    command: str
    machine: MachineFacts
    versions: dict[str, str]
    settings: str
    # None where a suite does not measure it.
    foreign_share: float | None
    failures: Sequence[str]

    def markdown(self) -> str:
        """A list of facts."""
        facts = [
            f"made by `{self.command}` on {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}",
            *self.machine.lines(),
            "servers: " + ", ".join(f"{label} {version}" for label, version in self.versions.items()),
            self.settings,
        ]
        if self.foreign_share is not None:
            facts.append(f"other work on the machine while measuring: {self.foreign_share:.0%} of it (median)")
        text = "\n".join(f"- {fact}" for fact in facts)
        if self.foreign_share is not None and self.foreign_share > FOREIGN_SHARE_MAX:
            text += "\n\n**The machine was busy with other work: run this again before quoting any figure.**"
        if self.failures:
            lines = "\n".join(f"- {failure}" for failure in self.failures)
            text += f"\n\n**Error replies: the figures of these are worthless.**\n\n{lines}"
        return text


def page(suite: str, findings: Findings, circumstances: Circumstances) -> str:
    """The whole page as Markdown."""
    parts = [f"# {findings.title}", findings.method, circumstances.markdown()]
    parts += [f"![{name.replace('-', ' ')}]({suite}-{name}.svg)" for name in findings.pictures]
    parts += [table.markdown().rstrip("\n") for table in findings.tables]
    return "\n\n".join(parts) + "\n"


def write(folder: Path, suite: str, findings: Findings, text: str) -> list[Path]:
    """Writes the page and its pictures, returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{suite}.md"]
    written[0].write_text(text)
    for name, picture in findings.pictures.items():
        path = folder / f"{suite}-{name}.svg"
        path.write_text(picture)
        written.append(path)
    return written
