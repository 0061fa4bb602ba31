"""Random conversations: a few topics each, so that what belongs together meets, on few keys of every type.

`{a|b}` picks a word, `<L>` a key (mostly one of a list; `<S>` of a string, and so on), `<v>` a value, `<who>` a connection.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from tests.compat.lockstep import client_steps, data_steps
from tests.compat.lockstep.session import Conversation, Step

_keys = {
    "S": ("s1", "s2"), "L": ("l1", "l2", "{l1}b"), "H": ("h1",), "T": ("t1", "t2"), "Z": ("z1", "z2"), "X": ("x1", "x2"),
}  # fmt: skip
_any_key = [key for keys in _keys.values() for key in keys]
_values = ("1", "2", "3", "a", "b", "c")
_channels = ("c1", "c2", "n.a", "n.b")
_patterns = ("c*", "n.*", "__key*", "__keyspace@0__:l*", "__keyevent@*__:*")

_steps = {
    name: [line for line in text.strip().splitlines() if line.strip()]
    for name, text in {**data_steps.steps, **client_steps.steps}.items()
}
topics = [name for name in _steps if name not in ("data", "script")]
_together = {"blocking": "waking", "waking": "blocking"}

_atom = re.compile(r"<(\w+)>")
_choice = re.compile(r"(?<!\S)\{([^{}]*\|[^{}]*)\}|(?<==)\{([^{}]*\|[^{}]*)\}")


@dataclass
class Generator:
    """The steps of one random conversation."""

    random: random.Random
    step_count: int
    protocols: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)

    def make(self) -> Conversation:
        """A conversation of 3 to 5 connections about two to four topics and data."""
        names = "abcde"[: self.random.choice((3, 3, 4, 5))]
        self.protocols = {name: self.random.choice((2, 3)) for name in names}
        chosen = self.random.sample(topics, self.random.choice((1, 2, 3)))
        chosen += [_together[name] for name in chosen if name in _together]
        self.weights = dict.fromkeys(chosen, 2) | {"data": self.random.choice((2, 4))}
        steps = [Step(self.random.choice(names), self._line(self._topic())) for _ in range(self.step_count)]
        return Conversation(self.protocols, tuple(steps))

    def _topic(self) -> str:
        return self.random.choices(list(self.weights), list(self.weights.values()))[0]

    def _line(self, topic: str) -> str:
        count = self.random.choice((1, 1, 1, 1, 1, 2, 3)) if topic == "data" else 1
        return "; ".join(self._fill(self.random.choice(_steps[topic])) for _ in range(count))

    def _fill(self, template: str) -> str:
        while hit := _choice.search(template):
            word = self.random.choice((hit[1] or hit[2]).split("|"))
            template = template[: hit.start()] + word + template[hit.end() :]
        return _atom.sub(lambda hit: self._atom(hit[1]), template)

    def _atom(self, name: str) -> str:
        if name in ("data", "blocking", "script"):
            # One command, for it stands among others, and none that ends by time.
            lines = [line for line in _steps[name] if "~" not in line]
            return self._fill(self.random.choice(lines).partition("; ")[0])
        if name == "any" or (name in _keys and self.random.random() < 0.06):
            return self.random.choice(_any_key)
        if name in _keys:
            return self.random.choice(_keys[name])
        words = {"v": _values, "n": ("1", "2", "3"), "c": _channels, "pat": _patterns, "lib": (client_steps.library,), "flags": (client_steps.flagged,),
                 "who": tuple(f"@{name}" for name in self.protocols)}  # fmt: skip
        return self.random.choice(words[name])
