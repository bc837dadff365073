"""`python train.py ...` is `mobilenet train ...`."""

import sys

from mobilenet.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
