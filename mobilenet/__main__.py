"""`python -m mobilenet` is the `mobilenet` command."""

import sys

from mobilenet.cli import main

if __name__ == "__main__":
    sys.exit(main())
