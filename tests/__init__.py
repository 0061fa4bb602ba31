"""Sherd's tests: a package, so that the suites can share `tests.support`."""
