"""`python export.py ...` is `mobilenet export ...`."""

import sys

from mobilenet.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
