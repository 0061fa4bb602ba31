"""`python -m sherd` is the same as the `sherd` command."""

import sys

from sherd.cli import main

if __name__ == "__main__":
    sys.exit(main())
