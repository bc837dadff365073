"""Checks that all ranks are there, with the same configuration, records and versions."""

from __future__ import annotations

import hashlib
from typing import Mapping

import numpy as np

from mobilenet.compat.environment import launcher_number
from mobilenet.distributed.group import Group
from mobilenet.errors import ConfigError

_DIGEST_BYTES = 6  # what a float64 holds exactly
_VERSION = "mobilenet version"
# Environment variables in which launchers give the number of processes.
_LAUNCHED = (
    "DMLC_NUM_WORKER",
    "HOROVOD_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "SLURM_STEP_NUM_TASKS",
)


def check_consistency(group: Group, facts: Mapping[str, object]) -> None:
    """Compares `facts`, by their digests, over all ranks.

    Args:
        group: Every rank of it calls this.
        facts: Settings, versions and digests of records, by name.

    Raises:
        ConfigError: A fact, or the list of their names, differs between ranks. Raised on every
            rank.
    """
    # Names first: another version may have other settings. Then the ranks would exchange arrays of
    # different sizes, which crashes MXNet's servers and makes Horovod wait for ever.
    _compare(group, {_VERSION: facts.get(_VERSION), "list of settings and records": sorted(facts)})
    _compare(group, {name: facts[name] for name in sorted(facts)})


def _compare(group: Group, facts: Mapping[str, object]) -> None:
    table = group.gather([_digest(fact) for fact in facts.values()])
    for name, values in zip(facts, table.T):
        others = np.flatnonzero(values != values[0])
        if len(others):
            raise ConfigError(
                f"rank {others[0]} of {group.size} has another {name} than rank 0: all processes"
                " of a run need the same configuration, records and versions"
            )


def _digest(fact: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(fact).encode()).digest()[:_DIGEST_BYTES], "big")


def check_launched(engine: str, group: Group) -> None:
    """Checks that the group has all processes that a launcher has started.

    Raises:
        ConfigError: The launcher's environment variables tell another number.
    """
    for name in _LAUNCHED:
        # 1: a launcher of a single process may have started the launcher of the others.
        if launcher_number(name) not in (0, 1, group.size):
            raise ConfigError(
                f"distributed.engine: '{engine}' makes a group of {group.size}, but this is one of"
                f" {launcher_number(name)} processes ({name}): each would train a network of its"
                " own"
            )
