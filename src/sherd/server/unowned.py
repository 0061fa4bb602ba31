"""Callbacks into an owner that what it owns may keep, without the two keeping each other alive."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_R = TypeVar("_R")


def unowned(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """The method, called as it is; who has this does not keep the method's object alive."""
    reference = weakref.WeakMethod(method)

    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        alive = reference()
        if alive is None:
            raise ReferenceError("the server has gone")
        result: _R = alive(*args, **kwargs)
        return result

    return call
