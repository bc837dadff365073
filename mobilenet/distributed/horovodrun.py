"""`python -m mobilenet.distributed.horovodrun ...` is `horovodrun ...`, able to import MXNet.

Horovod's own command asks its MXNet extension what was built, and takes a failing import of MXNet
next to a current NumPy for a Horovod without Gloo.
"""

from __future__ import annotations

if __name__ == "__main__":
    from horovod.runner.launch import run_commandline

    run_commandline()
