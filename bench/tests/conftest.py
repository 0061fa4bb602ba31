"""Makes the benchmark package importable: it runs from its folder and is not installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
