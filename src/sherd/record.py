"""Records: classes that declare their fields, as dataclasses do, for a tenth of what those cost a start.

    @record
    class Address:
        host: str
        port: int = 0

`dataclasses` compiles the text of half a dozen methods a class, when the class is made; with sixty of them that was a
tenth of a start, and `inspect`, which it loads, another twentieth. Here records share their methods. Only `__init__`,
on whose speed instances depend, is compiled for its class, with the first instance. Type checkers take a record for a
dataclass (`typing.dataclass_transform`). Plain classes were left aside: they name every field three times.

A record is frozen unless it says otherwise, has slots, is equal to another of its class with equal values, and does
not inherit from another record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform, overload

Class = TypeVar("Class", bound=type)
Instance = TypeVar("Instance")


class _Made:
    """A default that is made for each instance."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, default_factory: Callable[[], Any]) -> Any:
    """The default of a field whose value is to be an instance's own."""
    return _Made(default_factory)


@overload
def record(made: Class, /) -> Class: ...
@overload
def record(*, frozen: bool) -> Callable[[Class], Class]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(made: type | None = None, /, *, frozen: bool = True) -> Any:
    """Make a record of a class. `frozen=False`: its instances may change, and have no hash."""
    return (lambda plain: _make(plain, frozen)) if made is None else _make(made, frozen)


def replace(instance: Instance, **changes: Any) -> Instance:
    """A copy with other values."""
    return type(instance)(**(dict(zip(_fields(instance), _values(instance), strict=True)) | changes))


def _make(plain: type, frozen: bool) -> type:
    names = tuple(plain.__annotations__)
    # Slots are given to a class when it is made, so it is made once more.
    body = {name: value for name, value in vars(plain).items() if name not in ("__dict__", "__weakref__")}
    defaults = {name: body.pop(name) for name in names if name in body}
    body |= _SHARED | (_FROZEN if frozen else {"__hash__": None})
    body |= {"__slots__": names, "__match_args__": names, "_defaults": defaults, "_frozen": frozen}
    made = type(plain)(plain.__name__, plain.__bases__, body)
    made.__qualname__ = plain.__qualname__
    return made


def _fields(instance: object) -> tuple[str, ...]:
    return type(instance).__match_args__  # type: ignore[attr-defined,no-any-return]


def _values(instance: object) -> tuple[Any, ...]:
    return tuple([getattr(instance, name) for name in _fields(instance)])


def _init(self: Any, *values: Any, **named: Any) -> None:
    """The first instance's; whoever comes at the same time makes the same function."""
    owner: Any = next(each for each in type(self).__mro__ if vars(each).get("__init__") is _init)
    owner.__init__ = _compile_init(owner)
    owner.__init__(self, *values, **named)


def _compile_init(made: Any) -> Callable[..., None]:
    scope: dict[str, Any] = {"_set": object.__setattr__, "_default": made._defaults}
    parameters, lines = ["self"], ["pass"]
    for name in made.__match_args__:
        value = name
        if name not in made._defaults:
            parameters.append(name)
        elif isinstance(made._defaults[name], _Made):
            parameters.append(f"{name}=_default")
            scope[f"_make_{name}"] = made._defaults[name].make
            value = f"_make_{name}() if {name} is _default else {name}"
        else:
            parameters.append(f"{name}=_default[{name!r}]")
        lines.append(f"_set(self, {name!r}, {value})" if made._frozen else f"self.{name} = {value}")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines), scope)  # noqa: S102 - of names of fields only
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    return init


def _repr(self: object) -> str:
    pairs = zip(_fields(self), _values(self), strict=True)
    return f"{type(self).__qualname__}({', '.join([f'{name}={value!r}' for name, value in pairs])})"


def _eq(self: object, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: object) -> int:
    return hash(_values(self))


def _reduce(self: object) -> tuple[type, tuple[Any, ...]]:
    """For copies and pickles, which know nothing of what is frozen."""
    return type(self), _values(self)


def _refuse(self: object, name: str, _value: object = None) -> None:
    raise AttributeError(f"{type(self).__qualname__}.{name} cannot be changed")


_SHARED = {"__init__": _init, "__repr__": _repr, "__eq__": _eq, "__reduce__": _reduce}
_FROZEN = {"__hash__": _hash, "__setattr__": _refuse, "__delattr__": _refuse}
