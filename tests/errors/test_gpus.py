"""What keeps a GPU from training is told before training starts; the driver is a stub."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
from pathlib import Path

import pytest
from compiled import STUB, shared_library
from told import assert_told, mobilenet

from mobilenet.errors import reason


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a driver and an NVRTC that answer as the environment says."""
    folder = tmp_path_factory.mktemp("stubs")
    for name in ("libcuda.so.1", "libnvrtc.so.11.2"):
        shared_library(folder / name, STUB)
    return folder


def environment(stubs: Path, **variables: str) -> dict[str, str]:
    return {**os.environ, "LD_LIBRARY_PATH": str(stubs), **variables}


@pytest.mark.parametrize(
    ("device", "variables", "situation"),
    [
        ("gpu(0)", {"CUDA_STUB_INIT": "100"}, "a driver that does not start"),
        ("gpu(0)", {"CUDA_STUB_DRIVER": "11040"}, "a driver that is too old"),
        ("gpu(2)", {}, "a GPU that there is not"),
        ("gpu(1)", {}, "a GPU that MXNet has no kernels for"),
        ("gpu(1)", {"CUDA_STUB_GPUS": "8.9:1 10.0:1"}, "a GPU that MXNet has no kernels for"),
        ("gpu(0)", {"CUDA_STUB_GPUS": "3.7:12000"}, "a GPU that MXNet has no kernels for"),
        ("gpu(0)", {}, "MXNet's build for CPUs"),
    ],
)
def test_a_gpu_that_cannot_train(
    stubs: Path, job: Path, device: str, variables: dict[str, str], situation: str
) -> None:
    of_gpus = {"CUDA_STUB_GPUS": "8.9:24000 9.0:80000", **variables}
    said = refused(job, environment(stubs, **of_gpus), f"training.devices=[{device}]")
    assert_told(said, situation)


def test_a_gpu_without_a_driver(job: Path) -> None:
    if have_driver():
        pytest.skip("this machine has NVIDIA's driver")
    said = refused(job, {**os.environ}, "training.devices=[gpu(0)]")
    assert_told(said, "a GPU without a driver")


def have_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.mark.parametrize("enough", [False, True])
def test_a_batch_larger_than_the_memory(stubs: Path, job: Path, enough: bool) -> None:
    """12 images of 224 px have 27 MB of outputs of convolutions each, 6.7 million numbers."""
    of_gpu = environment(stubs, CUDA_STUB_GPUS="7.5:330" if enough else "7.5:310")
    situation = "MXNet's build for CPUs" if enough else "a batch larger than the GPU's memory"
    sizes = ("data.resolution=224", "validation.short_side=256", "model.width_multiplier=1.0")
    assert_told(refused(job, of_gpu, "training.devices=[gpu(0)]", *sizes), situation)


def refused(job: Path, env: dict[str, str], *settings: str) -> str:
    """The one sentence with which training ends before it has made anything."""
    done = mobilenet(job, "train", "mein Lauf.yaml", "--run", "never", *settings, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert not (job / "never").exists()
    return done.stderr


def test_no_memory_left(tmp_path: Path) -> None:
    """A batch whose images fit into the address space of the process, but not its activations."""
    call = ("bench", "train", "--batch", 256, "--repeats", 1)
    limits = {"OMP_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2"}  # each thread takes some of it
    done = mobilenet(
        tmp_path, *call, env={**os.environ, **limits},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30)),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert_told(done.stderr, "no memory left")


@pytest.mark.parametrize(
    ("library", "situation"),
    [
        ("libcuda.so.1", "MXNet's build for GPUs without a driver"),
        ("libcudnn.so.8", "MXNet's build for GPUs without NVIDIA's libraries"),
    ],
)
def test_a_library_that_the_build_for_gpus_misses(library: str, situation: str) -> None:
    with pytest.raises(OSError, match=library) as error:
        ctypes.CDLL(library)
    assert_told(reason(error.value), situation)


def test_the_table_of_gpus(stubs: Path, tmp_path: Path) -> None:
    of_gpus = environment(stubs, CUDA_STUB_GPUS="8.9:24000 9.0:80000")
    words = mobilenet(tmp_path, "info", "--machine", env=of_gpus).stdout
    assert re.search(r"^GPU driver +runs CUDA up to 12\.4$", words, re.M)
    assert re.search(r"^gpu\(0\) +Stub 0, compute capability 8\.9, 24\.0 GB; cannot", words, re.M)
    as_json = mobilenet(tmp_path, "info", "--machine", "--json", env=of_gpus).stdout
    driver = json.loads(as_json)["driver"]
    assert driver["newest_cuda"] == [12, 4]
    assert [gpu["capability"] for gpu in driver["gpus"]] == [[8, 9], [9, 0]]
    assert [gpu["memory_bytes"] for gpu in driver["gpus"]] == [24_000_000_000, 80_000_000_000]
    assert "build for CPUs" in driver["gpus"][0]["obstacle"]
    assert "5.0 to 8.9" in driver["gpus"][1]["obstacle"]
