"""The ranks of a run that `mobilenet launch` started, by MXNet's own parameter servers."""

from __future__ import annotations

import os
from types import TracebackType

import mxnet as mx

from mobilenet.distributed.group import Group
from mobilenet.errors import ConfigError

_STORE = "dist_sync"  # a misspelt name would silently give a store of one process
_ENVIRONMENT = ("DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER")
_kept: list[mx.kv.KVStoreBase] = []


class KVStoreGroup(Group):
    """The workers of a `dist_sync` store, whose servers only add up what every worker sends.

    Raises:
        ConfigError: The process was not started as a worker, or the workers are not those that
            were launched.
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
        # The store numbers its workers by address; the launcher in the order of the hosts.
        self.rank = int(os.environ.get("DMLC_TASK_ID", self._store.rank))
        self._check()

    def _check(self) -> None:
        num_launched = int(os.environ["DMLC_NUM_WORKER"])
        if self.size != num_launched:
            raise ConfigError(f"{num_launched} workers were launched, but {self.size} are there")
        if self.rank >= self.size or self.gather([1]).min() < 1:
            raise ConfigError("DMLC_TASK_ID: the workers are not numbered from 0, each once")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Keeps the store of a process that fails: to free it MXNet waits for all workers."""
        if error is not None:
            _kept.append(self._store)

    def _sum_in_place(self, key: str, buffer: mx.nd.NDArray) -> None:
        if key not in self._keys:
            self._store.init(key, mx.nd.zeros_like(buffer))
            self._keys.add(key)
        self._store.push(key, buffer)
        self._store.pull(key, out=buffer)
