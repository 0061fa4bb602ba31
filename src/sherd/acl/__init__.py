"""Users and what they may do: rules parsed, kept, reported, and compiled for the data plane, which checks them.

# Layout
- `catalogue`: commands and categories by the names that rules use
- `user`: a user and its sets of rights as data, and how they are written as rules
- `rules`: one rule applied to a user
- `files`: the users of an `aclfile` and of the configuration, and back
- `compiled`: a user in the form that the data plane takes
- `store`: `AccessControl`, which holds all users of a server
"""

from sherd.acl.catalogue import CATEGORIES, Catalogue
from sherd.acl.files import UserListError
from sherd.acl.rules import RuleError, has_spaces
from sherd.acl.store import AccessControl, configured_users, rule_book
from sherd.acl.user import Selector, User

__all__ = [
    "CATEGORIES",
    "AccessControl",
    "Catalogue",
    "RuleError",
    "Selector",
    "User",
    "UserListError",
    "configured_users",
    "has_spaces",
    "rule_book",
]
