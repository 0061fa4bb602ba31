"""Modules that are loaded when something of them is first used, although others import them at once.

asyncio imports `ssl` and its own TLS protocol, with OpenSSL behind them: four of an idle server's thirty megabytes and
an eighth of its start, for connections that the control plane may never make. asyncio itself is not needed before
clients are served. A module that is put off is empty until somebody asks it for anything; then it is the module.
`importlib.util.LazyLoader` was left aside: there, a second `import` statement makes it load.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system's own questions
            raise AttributeError(name)
        return getattr(self.load(), name)

    def load(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        module = importlib.import_module(self.__name__)
        # Whoever has imported this object has the module's contents from now on.
        self.__dict__.update(module.__dict__)
        return module


def load(*names: str) -> None:
    """Load these now, where they were put off: for code that may import what is inside of a package, which finds none
    in an empty module."""
    for name in names:
        module = sys.modules.get(name)
        if isinstance(module, _Later):
            module.load()


def put_off(*names: str) -> None:
    """Load these modules when they are first used; those that are loaded stay."""
    for name in names:
        if name not in sys.modules:
            sys.modules[name] = _Later(name)
