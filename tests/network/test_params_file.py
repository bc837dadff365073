"""Files of arrays: those of mx.nd.save, byte for byte, but no write fails unnoticed."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mobilenet.network.params_file import write_arrays


def test_bytes_are_those_of_mxnet(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "stem_conv_weight": mx.nd.array(random.standard_normal((3, 4, 5, 1))),
        "velocity/größe": mx.nd.array(random.standard_normal(7)).astype("float16"),
        "double": mx.nd.array(random.standard_normal((2, 2)), dtype="float64"),
    }
    mx.nd.save(str(tmp_path / "theirs"), arrays)
    ours = io.BytesIO()
    write_arrays(ours, arrays)
    assert ours.getvalue() == (tmp_path / "theirs").read_bytes()


def test_mxnet_reads_them(tmp_path: Path) -> None:
    arrays = {"a": mx.nd.arange(6).reshape((2, 3)), "b": mx.nd.ones((1,))}
    with (tmp_path / "ours").open("wb") as file:
        write_arrays(file, arrays)
    read = mx.nd.load(str(tmp_path / "ours"))
    assert list(read) == ["a", "b"]
    np.testing.assert_array_equal(read["a"].asnumpy(), arrays["a"].asnumpy())


WRITE = """
import resource, sys
import mobilenet
import mxnet as mx
from mobilenet.network.params_file import write_arrays
limit = int(sys.argv[2])
arrays = {"a": mx.nd.ones((249, 1000)), "b": mx.nd.ones((1100,))}
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if sys.argv[3] == "ours":
    with open(sys.argv[1], "wb") as file:
        write_arrays(file, arrays)
else:
    mx.nd.save(sys.argv[1], arrays)
"""


@pytest.mark.parametrize(("writer", "exit_code"), [("ours", 1), ("mxnet's", 0)])
def test_a_failed_write_is_noticed(tmp_path: Path, writer: str, exit_code: int) -> None:
    """The size limit of a process stands in for a full disk; the reason for this module."""
    path, limit = tmp_path / "arrays", 1_000_000
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] != limit
    command = [sys.executable, "-c", WRITE, str(path), str(limit), writer]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert result.returncode == exit_code, result.stderr
    assert path.stat().st_size <= limit
    if exit_code:
        assert "OSError: [Errno 27] File too large" in result.stderr
