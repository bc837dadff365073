"""The group of ranks that `mobilenet launch` started, communicating by MXNet's kvstore."""

from __future__ import annotations

import os

import mxnet as mx

from mobilenet.distributed.group import Group
from mobilenet.errors import ConfigError

_STORE = "dist_sync"  # MXNet takes a misspelt name for a store of one process
_ENVIRONMENT = ("DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER")
_kept: list[mx.kv.KVStoreBase] = []


class KVStoreGroup(Group):
    """The workers of a `dist_sync` store; its servers only sum what the workers send.

    Raises:
        ConfigError: The process was not started as a worker, or the number of workers is not that
            of the launch.
    """

    def __init__(self) -> None:
        missing = [name for name in _ENVIRONMENT if name not in os.environ]
        if os.environ.get("DMLC_ROLE") != "worker" or missing:
            raise ConfigError(
                "distributed.engine: 'kvstore' needs processes that `mobilenet launch` starts"
            )
        super().__init__()
        self._store = mx.kv.create(_STORE)
        self._keys: set[str] = set()
        self.size = self._store.num_workers
        # The store numbers workers by address, the launcher by the order of the hosts.
        self.rank = int(os.environ.get("DMLC_TASK_ID", self._store.rank))
        self._check()

    def _check(self) -> None:
        num_launched = int(os.environ["DMLC_NUM_WORKER"])
        if self.size != num_launched:
            raise ConfigError(f"{num_launched} workers were launched, but {self.size} are there")
        if self.rank >= self.size or self.gather([1]).min() < 1:
            raise ConfigError("DMLC_TASK_ID: the workers are not numbered from 0, each once")

    def _failed(self, error: BaseException) -> None:  # noqa: ARG002
        """Keeps the store alive: to free it MXNet would wait for all workers."""
        _kept.append(self._store)

    def _sum_in_place(self, key: str, buffer: mx.nd.NDArray) -> None:
        if key not in self._keys:
            self._store.init(key, mx.nd.zeros_like(buffer))
            self._keys.add(key)
        self._store.push(key, buffer)
        self._store.pull(key, out=buffer)
