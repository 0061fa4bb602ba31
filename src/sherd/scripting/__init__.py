"""Lua: the only package that imports lupa.

lupa makes the runtimes that the data plane runs scripts in, natively and without the interpreter's lock; see
`runtimes`.
"""

from sherd.scripting.runtimes import MAKER

__all__ = ["MAKER"]
