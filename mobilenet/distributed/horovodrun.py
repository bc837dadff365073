"""`python -m mobilenet.distributed.horovodrun ...` is `horovodrun ...`, able to import MXNet.

Horovod's own command asks its MXNet extension what was built, and takes a failing import of MXNet
next to a current NumPy for a Horovod without Gloo.
"""

from __future__ import annotations

from mobilenet.compat.environment import unset_environment

# Also in the processes that Horovod spawns between this one and the workers.
if __name__ in ("__main__", "__mp_main__"):
    unset_environment()

if __name__ == "__main__":
    from horovod.runner.launch import run_commandline

    run_commandline()
