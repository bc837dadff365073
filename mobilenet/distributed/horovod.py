"""The group of ranks that `horovodrun` or `mpirun` started, communicating by Horovod."""

from __future__ import annotations

import re

import mxnet as mx

from mobilenet.distributed.group import Group
from mobilenet.errors import ConfigError, VerificationError


class HorovodGroup(Group):
    """The ranks of a Horovod run.

    Raises:
        ConfigError: Horovod is not installed, or not for MXNet.
    """

    def __init__(self) -> None:
        super().__init__()
        try:
            import horovod.mxnet  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ConfigError(
                f"distributed.engine: Horovod for MXNet is not installed ({error}): run"
                " `make setup-horovod`, or see docs/distributed.md"
            ) from error
        self._horovod = horovod.mxnet
        self._horovod.init()
        self.rank, self.size = self._horovod.rank(), self._horovod.size()

    def _sum_in_place(self, key: str, buffer: mx.nd.NDArray) -> None:
        self._horovod.allreduce_(buffer, average=False, name=key)

    def _failed(self, error: BaseException) -> None:
        """Explains errors of queued sums.

        Raises:
            VerificationError: A rank is lost, or the engine fails.
        """
        # Horovod, Gloo and NCCL report a lost rank each in other words.
        if isinstance(error, mx.MXNetError) and self.size > 1:
            cause = re.split(r"\.\s|\n", str(error).removeprefix("MXNetError: "))[0]
            raise VerificationError(
                f"rank {self.rank} of {self.size}: another rank has ended, or this one cannot go on"
                f" ({cause}); continue the run with --resume"
            ) from error
