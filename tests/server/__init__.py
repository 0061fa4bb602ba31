"""The process: how it starts, what it refuses, how it stops, and the same engine inside a Python program."""
