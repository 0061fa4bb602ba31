"""Races under load: what waits, wakes, is cancelled or cut, and what must hold whoever wins.

`STRESS_SECONDS` makes each race longer than the second or so that an ordinary run gives it.
"""
