"""`python validate.py ...` is `mobilenet validate ...`."""

import sys

from mobilenet.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["validate", *sys.argv[1:]]))
