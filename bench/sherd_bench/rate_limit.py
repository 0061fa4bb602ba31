"""The rate limiter of the documentation, for the scripts suite: a command in Python."""

import sherd


@sherd.command("rate.limit", keys=1, flags="write fast", summary="Counts a hit and tells whether it may pass.")
def rate_limit(call: sherd.Call, key: bytes, limit: int, window_seconds: int) -> bool:
    """As in docs/python-commands.md."""
    hits = call("INCR", key)
    if hits == 1:
        call("EXPIRE", key, window_seconds)
    return bool(hits <= limit)
