"""`python export.py ...` is `mobilenet export ...`."""

import sys

from mobilenet.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
