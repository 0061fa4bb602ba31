"""Runs the benchmarks: `python bench/run.py --suite core --quick`. See `sherd_bench/cli.py` for what there is."""

import sys

from sherd_bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
