"""Where extensions come from: modules by name, files by path, and what a program around the server hands over.

A module is loaded again without a moment at which it is half there: it is executed as a new module, with its
submodules, and takes the place of the old one only when all of it could be. Until then, and if it fails, the old one
stays.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sherd.errors import DeclarationError, LoadError
from sherd.extensions.declare import Declared, declared_by

_PREFIX = "sherd_commands_"


class Source:
    """One thing that declares commands, jobs and hooks."""

    def __init__(self, origin: object) -> None:
        self.origin = origin
        self.declared: tuple[Declared, ...] = ()
        self._module: ModuleType | None = None
        if isinstance(origin, ModuleType):
            self._module = origin
        elif isinstance(origin, str):
            self._module_name = _module_name(origin)
        elif not declared_by(origin):
            raise LoadError(f"{origin!r} declares no command, job or hook")

    @property
    def name(self) -> str:
        """What the operator calls it."""
        if isinstance(self.origin, str):
            return self.origin
        if self._module is not None:
            return self._module.__name__
        return str(getattr(self.origin, "__qualname__", self.origin))

    @property
    def module_name(self) -> str:
        """The name of its module, which it can be loaded again by as well."""
        if isinstance(self.origin, str):
            return self._module_name
        return self._module.__name__ if self._module is not None else str(getattr(self.origin, "__module__", ""))

    @property
    def may_be_loaded_again(self) -> bool:
        """Whether it is a module or a file, and not a function that a program has handed over."""
        return isinstance(self.origin, str | ModuleType)

    def read(self) -> tuple[Declared, ...]:
        """Load it for the first time; raises LoadError, and leaves nothing behind then."""
        if not self.may_be_loaded_again:
            self.declared = declared_by(self.origin)
            return self.declared
        if self._module is None:
            self._module = self._load()
        self.declared = self._declared_in(self._module)
        return self.declared

    def read_anew(self) -> None:
        """Load it again; raises LoadError."""
        self._module = self._load()
        self.declared = self._declared_in(self._module)

    def _declared_in(self, module: ModuleType) -> tuple[Declared, ...]:
        declared = _declared_in(module)
        if not declared:
            # Such as a package that imports none of its submodules.
            raise LoadError(f"{self.name} declares no command, job or hook")
        return declared

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """What is raised within leaves it as it was."""
        old, old_declared = self._module, self.declared
        try:
            yield
        except BaseException:
            self._module, self.declared = old, old_declared
            raise

    def is_home_of(self, module_name: str) -> bool:
        """Whether this source brings what a module of this name declares. Nobody imports what is loaded as a file."""
        if not self.may_be_loaded_again or (isinstance(self.origin, str) and _path_of(self.origin) is not None):
            return False
        return module_name == self.module_name or module_name.startswith(f"{self.module_name}.")

    def _load(self) -> ModuleType:
        origin = self.origin
        path = _path_of(origin) if isinstance(origin, str) else None
        try:
            with _fresh_bytecode():
                if path is not None:
                    return _load_file(self.module_name, path)
                return importlib.import_module(self.module_name)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise LoadError(f"{self.name}: {_reason(error)}") from error


@contextlib.contextmanager
def loaded_again(sources: Sequence[Source]) -> Iterator[None]:
    """Load them anew, for as long as nothing is raised within; else the old modules are those that there are.

    All of them go before the first one is loaded, for those that import each other must not get what is replaced.
    """
    names = [source.module_name for source in sources]
    before = {name: module for own in names for name, module in _modules_of(own).items()}
    with contextlib.ExitStack() as stack:
        for source in sources:
            stack.enter_context(source.kept())
        for name in before:
            del sys.modules[name]
        try:
            for source in sources:
                source.read_anew()
            yield
        except BaseException:
            for own in names:
                for name in _modules_of(own):
                    del sys.modules[name]
            for name, module in before.items():
                sys.modules[name] = module
                # Importing the new one has put it into its package.
                package, _, own = name.rpartition(".")
                if package in sys.modules:
                    setattr(sys.modules[package], own, module)
            raise


def declared_by_all(sources: Sequence[Source]) -> Iterator[tuple[Source, Declared]]:
    """What they declare, each with the source that brings it.

    A module may have imported a function of another one. It is that one's to bring: where only that was loaded again,
    there are an old and a new function, of which the new one counts.
    """
    brought = {(source, key) for source in sources for key in map(_key_of, source.declared) if key is not None}
    seen: set[int] = set()
    for source in sources:
        for declared in source.declared:
            key = _key_of(declared)
            home = None if key is None else _home_of(key[0], sources)
            is_anothers = home is not None and home is not source and (home, key) in brought
            if not is_anothers and id(declared) not in seen:
                seen.add(id(declared))
                yield source, declared


def _key_of(declared: Declared) -> tuple[str, str] | None:
    """What tells a function that was loaded again from others: its module and its name there; None if it has none."""
    function = declared.function
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return (module, name) if module and name and "<" not in name else None


def _home_of(module_name: str, sources: Sequence[Source]) -> Source | None:
    homes = [source for source in sources if source.is_home_of(module_name)]
    return max(homes, key=lambda source: len(source.module_name), default=None)


def _path_of(origin: str) -> Path | None:
    """The file that is meant, if it is one: a module's name has no slash and no suffix."""
    return Path(origin) if origin.endswith(".py") or os.sep in origin else None


def _module_name(origin: str) -> str:
    path = _path_of(origin)
    return origin if path is None else _PREFIX + path.stem


def _load_file(name: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


@contextlib.contextmanager
def _fresh_bytecode() -> Iterator[None]:
    """Neither take nor leave compiled files: they are told apart by the second and the size of their sources only."""
    importlib.invalidate_caches()
    # Modules are looked for where the server was started, as `python -m` has it.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    writes, prefix = sys.dont_write_bytecode, sys.pycache_prefix
    # A place where there are none.
    sys.dont_write_bytecode, sys.pycache_prefix = True, os.devnull
    try:
        yield
    finally:
        sys.dont_write_bytecode, sys.pycache_prefix = writes, prefix


def _modules_of(name: str) -> dict[str, ModuleType]:
    """A module and its submodules, as far as they are loaded."""
    return {
        known: module for known, module in list(sys.modules.items()) if known == name or known.startswith(f"{name}.")
    }


def _declared_in(module: ModuleType) -> tuple[Declared, ...]:
    """What is declared in a module, in those that it has imported of itself, and what it has imported by name."""
    found: dict[int, Declared] = {}
    seen: set[str] = set()

    def visit(visited: ModuleType) -> None:
        if visited.__name__ in seen:
            return
        seen.add(visited.__name__)
        for value in list(vars(visited).values()):
            if isinstance(value, ModuleType):
                if value.__name__.startswith(f"{module.__name__}."):
                    visit(value)
                continue
            for declared in declared_by(value):
                found.setdefault(id(declared), declared)

    visit(module)
    return tuple(found.values())


def _reason(error: BaseException) -> str:
    """One line, with the place in the module if there is one."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError | FileNotFoundError):
        return text
    if isinstance(error, DeclarationError):
        text = str(error)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else text


def _is_machinery(filename: str) -> bool:
    return Path(filename).parent == Path(__file__).parent or "importlib" in filename


def sources_of(origins: Sequence[Any]) -> list[Source]:
    """A source each; raises LoadError for what is none."""
    return [Source(origin) for origin in origins]
