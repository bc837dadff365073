"""What MXNet reads and NumPy has removed is there again, and nothing else."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, Iterator

import pytest

ROOT = Path(__file__).parent.parent.parent
_TELL_WHAT_IS_NEW = """
import numpy
from mobilenet.compat.numpy_names import repair_numpy
before = dict(vars(numpy))
repair_numpy()
print(*(name for name in vars(numpy) if name not in before))
assert all(vars(numpy)[name] is value for name, value in before.items())
"""
_READ_BY_NAME = {"bool", "product", "round_", "sometrue"}
"""Names that MXNet has in lists, and the one that is something else in NumPy 2."""


def _sources() -> Iterator[ast.Module]:
    spec = importlib.util.find_spec("mxnet")
    assert spec is not None
    assert spec.origin is not None
    for path in Path(spec.origin).parent.rglob("*.py"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of invalid escapes
            warnings.simplefilter("ignore", DeprecationWarning)
            yield ast.parse(path.read_text(encoding="utf-8"))


def _names_read(module: ast.Module) -> set[str]:
    """The attributes of NumPy that a module of MXNet's reads, by whatever name it has NumPy."""
    nodes = list(ast.walk(module))
    aliases = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "numpy"
    }
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in aliases
    }


def test_no_more_is_put_back_than_mxnet_reads() -> None:
    call = [sys.executable, "-W", "error", "-c", _TELL_WHAT_IS_NEW]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    put_back = set(done.stdout.split())
    assert put_back
    read = set.union(*map(_names_read, _sources()))
    assert put_back <= read | _READ_BY_NAME


def test_all_is_there_that_mxnet_reads() -> None:
    import mxnet  # noqa: F401, PLC0415 - which repairs NumPy
    import numpy as np  # noqa: PLC0415

    read = set.union(*map(_names_read, _sources()))
    assert len(read) > 200
    missing = {name for name in read | _READ_BY_NAME if not hasattr(np, name)}
    assert not missing


def test_what_is_put_back_does_what_it_did() -> None:
    import mxnet as mx  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    old: Any = np
    array = np.array([[3.0, 1.0], [2.0, 4.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # where NumPy still has them
        assert old.msort(array).tolist() == [[2, 1], [3, 4]]
        assert old.in1d(array, [3, 4]).tolist() == [True, False, False, True]
        assert old.trapz([1.0, 3.0]) == 2
        assert old.product([2, 3]) == 6
        assert not old.alltrue([1, 0])
        assert old.sometrue([1, 0])
        assert old.round_(2.6) == 3
    assert [old.PINF, old.Inf, old.NINF] == [np.inf, np.inf, -np.inf]
    assert np.isnan([old.NAN, old.NaN]).all()
    assert np.signbit([old.PZERO, old.NZERO]).tolist() == [False, True]
    ones = mx.np.ones((2, 2))
    assert mx.np.pad(ones, ((1, 1), (1, 1)), "constant").shape == (4, 4)  # reads numpy.compat
    assert isinstance(np.prod(ones, axis=0), mx.np.ndarray)  # MXNet's operator


@pytest.mark.timeout(300)  # a pool starts workers that fail again and again
def test_workers_are_repaired_that_import_mxnet_first(tmp_path: Path) -> None:
    """As in a notebook or a console: workers have no main module that imports this package."""
    call = [sys.executable, "-c", _JOB]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        call, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert (done.returncode, done.stdout) == (0, "[0. 1.]\n"), done.stderr


_JOB = """
import mobilenet, multiprocessing
from mxnet.gluon.data import DataLoader, SimpleDataset

multiprocessing.set_start_method("forkserver")  # the default from Python 3.14 on
for batch in DataLoader(SimpleDataset([0.0, 1.0]), 2, num_workers=1):
    print(batch.asnumpy())
"""
