"""What a client is answered whose wait was interrupted."""

from __future__ import annotations

from sherd.errors import CommandError
from sherd.spec import Request

_ERRORS = {
    "unblocked": "UNBLOCKED client unblocked via CLIENT UNBLOCK",
    "role changed": (
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
    ),
}  # fmt: skip


def is_interrupted(request: Request) -> bool:
    """Whether nobody waits for the command any more."""
    return request.interruption is not None and request.interruption.done()


def refuse_interrupted(request: Request) -> None:
    """Raise the error of an interruption that is one; otherwise the wait has ended as if its time were over."""
    if request.interruption is not None and request.interruption.done():
        error = _ERRORS.get(request.interruption.result())
        if error is not None:
            raise CommandError(error)
