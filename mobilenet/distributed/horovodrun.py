"""`python -m mobilenet.distributed.horovodrun ...` is `horovodrun ...` with a working MXNet.

Horovod's own command imports MXNet to find out what was built. With a current NumPy that import
fails, and the command concludes that Horovod has no Gloo.
"""

from __future__ import annotations

from mobilenet.compat.environment import unset_environment

# Also in the processes that Horovod spawns between this one and the workers.
if __name__ in ("__main__", "__mp_main__"):
    unset_environment()

if __name__ == "__main__":
    from horovod.runner.launch import run_commandline

    run_commandline()
