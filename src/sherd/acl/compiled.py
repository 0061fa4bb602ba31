"""A user in the form that the data plane takes: numbers instead of names, digests as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sherd.acl.catalogue import Catalogue
from sherd.acl.user import Selector, User, Uses

if TYPE_CHECKING:
    from sherd.native import SelectorDict, UserDict


def compile_user(user: User, catalogue: Catalogue) -> UserDict:
    """What the data plane's `change_users` takes."""
    return {
        "name": user.name,
        "enabled": user.enabled,
        "nopass": user.nopass,
        "passwords": [bytes.fromhex(digest.decode()) for digest in user.passwords],
        "selectors": [_compile_selector(selector, catalogue) for selector in user.selectors],
    }


def _compile_selector(selector: Selector, catalogue: Catalogue) -> SelectorDict:
    return {
        "commands": None if selector.commands >= catalogue.ids else sorted(selector.commands),
        "first_arguments": sorted(selector.first_arguments.items()),
        "keys": None if selector.all_keys else [_compile_key(*item) for item in selector.keys.items()],
        "channels": None if selector.all_channels else list(selector.channels),
        "databases": None if selector.all_databases else sorted(selector.databases),
    }


def _compile_key(pattern: bytes, uses: Uses) -> tuple[bytes, bool, bool]:
    return pattern, Uses.READ in uses, Uses.WRITE in uses
