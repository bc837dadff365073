"""Describes this machine: processor, libraries, GPUs, and settings that affect the speed."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import mxnet as mx

from mobilenet.compat.environment import set_by_package, usable_processors
from mobilenet.errors import last_line
from mobilenet.gpus import Driver, driver
from mobilenet.network.graph_forms import TrainingForm, training_form

# Other variables that affect the speed, if the user has set them.
_OTHERS = re.compile(
    r"LD_PRELOAD|GLIBC_TUNABLES|MALLOC_.*|OMP_.*|GOMP_.*|KMP_.*|MXNET_.*|DNNL_.*|MKLDNN_.*"
)
# By the names of /proc/cpuinfo, of x86-64 and of Arm, the widest last.
_VECTOR_INSTRUCTIONS = (
    *("sse4_2", "avx", "avx2", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("asimd", "sve", "sve2"),
)
# oneDNN prints which instructions it uses at its first operation.
_PROBE = """
import mobilenet, mxnet as mx
mx.nd.Convolution(mx.nd.ones((1, 8, 8, 8)), mx.nd.ones((8, 8, 1, 1)), kernel=(1, 1), num_filter=8,
                  no_bias=True).wait_to_read()
"""


class Setting(NamedTuple):
    """An environment variable; `origin` is who has set it, `mobilenet` or `user`."""

    name: str
    value: str
    origin: str


class Machine(NamedTuple):
    """Everything that affects the speed of this process."""

    processor: str
    num_cores: int
    """Number of processors that this process may use."""
    vector_instructions: tuple[str, ...]
    """Vector instructions of the processor, the widest last."""
    onednn: str
    """oneDNN's version and the instructions that it uses."""
    allocator: str
    settings: tuple[Setting, ...]
    training: TrainingForm
    driver: Driver

    def summary(self) -> str:
        """A short table."""
        rows = {
            "processor": self.processor,
            "cores": f"{self.num_cores}",
            "vector instructions": ", ".join(self.vector_instructions),
            "oneDNN": self.onednn,
            "allocator": self.allocator,
            "training graph": f"{self.training.name}: {self.training.reason}",
        }
        rows.update(self.driver.rows())
        lines = [f"{name:22}{value}" for name, value in rows.items()]
        lines += [f"{s.name:28}{s.value}   (set by {_WHO[s.origin]})" for s in self.settings]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The description as plain JSON."""
        settings = [setting._asdict() for setting in self.settings]
        parts = {"training": self.training._asdict(), "driver": self.driver.as_json()}
        return {**self._asdict(), "settings": settings, **parts}


_WHO = {"mobilenet": "mobilenet", "user": "the user"}


def machine() -> Machine:
    """The description of this machine; takes seconds to try oneDNN and the training graph."""
    facts = _processor_facts()
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    return Machine(
        facts.get("model name", platform.processor() or platform.machine()),
        usable_processors(),
        tuple(flag for flag in _VECTOR_INSTRUCTIONS if flag in flags),
        _onednn(),
        _allocator(),
        tuple(_settings()),
        _training(),
        driver(),
    )


def _training() -> TrainingForm:
    try:
        return training_form([mx.cpu()])
    except mx.MXNetError as error:  # the build for GPUs needs the driver for a backward pass
        return TrainingForm("none", f"MXNet cannot train here ({last_line(error)})")


def _processor_facts() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo."""
    first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _onednn() -> str:
    environment = {**os.environ, "DNNL_VERBOSE": "1"}
    call = [sys.executable, "-W", "ignore", "-c", _PROBE]
    done = subprocess.run(call, check=False, capture_output=True, text=True, env=environment)
    version = re.search(r"info,oneDNN (v[\d.]+)", done.stdout)
    instructions = re.search(r"info,cpu,isa:(.+)", done.stdout)
    if version is None or instructions is None:
        return "unknown"
    return f"{version[1]}, {instructions[1]}"


def _allocator() -> str:
    preloaded = os.environ.get("LD_PRELOAD", "")
    name, version = platform.libc_ver()
    return f"{preloaded}, preloaded" if "alloc" in preloaded else f"{name} {version}"


def _settings() -> list[Setting]:
    ours = set_by_package()
    of_user = sorted(name for name in os.environ if _OTHERS.fullmatch(name) and name not in ours)
    return [
        Setting(name, os.environ[name], "mobilenet" if ours.get(name) else "user")
        for name in (*ours, *of_user)
    ]
