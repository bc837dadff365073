"""Every notebook runs from top to bottom when its one cell of parameters is changed."""

from __future__ import annotations

import ast
import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import nbformat
import numpy as np
import pytest

from mobilenet.quickstart import sample_images

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))

SMALL = {
    "train": """
from pathlib import Path

source, records_folder, run_folder = "images", "records", Path("run")
configuration = "quickstart.yaml"
changes = {
    "width_multiplier": 0.1, "resolution": 32, "short_side": 32, "batch_size": 20, "epochs": 1,
    "warmup_epochs": 0,
}
""",
    "validate": """
source, data, results = "run", "images/val", "results"
""",
    "inference": """
source, images = "run", ["images/val/*/*"]
""",
    "export": """
from pathlib import Path

source, folder = "run", Path("exported")
""",
    "own_photos": """
from pathlib import Path

photos, folder = "images/train", Path("own_photos")
changes = {
    "initial_weights": "run", "dialect": "paper", "width_multiplier": 0.1, "resolution": 32,
    "batch_size": 8, "epochs": 1, "warmup_epochs": 0, "min_steps": 0,
}
""",
    "explore_widths": """
from pathlib import Path

import mobilenet

folder, records = Path("widths"), "records"
configuration = "quickstart.yaml"
changes = {"resolution": 32, "short_side": 32, "batch_size": 20, "epochs": 1, "warmup_epochs": 0}
widths = (0.1, 0.15)
""",
}


def read(name: str) -> Any:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def parameters(notebook: Any) -> Any:
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    return cell


def run(name: str, folder: Path) -> Any:
    """The notebook with small sizes, as it is after it has run in `folder`."""
    notebook = read(name)
    parameters(notebook).source = SMALL[name]
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    private = {
        "JUPYTER_RUNTIME_DIR": str(folder / "jupyter"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    done = subprocess.run(
        [sys.executable, NOTEBOOKS / "renew.py", path],
        env={**os.environ, **private},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where train.ipynb has run: with images, records and a run."""
    path = tmp_path_factory.mktemp("notebooks")
    configuration = NOTEBOOKS.parent / "configs" / "quickstart.yaml"
    (path / configuration.name).write_bytes(configuration.read_bytes())
    sample_images(path / "images", 4, 2)
    check(run("train", path))
    return path


def check(notebook: Any) -> None:
    """Every cell has run, in order and without an error, and all but export's have a picture."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert bool(pictures) == ("onnx.load" not in "".join(cell.source for cell in cells))
    for picture in pictures:
        assert not is_blank(base64.b64decode(picture["data"]["image/png"]))


def is_blank(picture: bytes) -> bool:
    """Whether a PNG has fewer colours than a curve with its labels."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    return len(np.unique(pixels.reshape(-1, 3), axis=0)) < 20


@pytest.mark.parametrize("name", NAMES)
def test_uses_nothing_of_the_package_but_its_api(name: str) -> None:
    for cell in read(name).cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                assert not (isinstance(node, ast.ImportFrom) and "mobilenet" in str(node.module))
                if isinstance(node, ast.Import):
                    assert not any(alias.name.startswith("mobilenet.") for alias in node.names)


def test_all_are_tested() -> None:
    assert set(SMALL) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_runs_with_one_cell_changed(name: str, folder: Path) -> None:
    if name != "train":  # that made the folder
        check(run(name, folder))


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_stored(name: str) -> None:
    """Readers on the web see what each cell gives, and nothing of the machine that ran it."""
    notebook = read(name)
    check(notebook)
    assert (NOTEBOOKS / f"{name}.ipynb").stat().st_size < 400_000
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [{"text": "", **o, **o.get("data", {})} for cell in cells for o in cell.outputs]
    texts = [str(o[kind]) for o in shown for kind in o if kind.startswith("text")]
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|mnt|media)/", "\n".join(texts))


LOGIC = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.IfExp, ast.For,
    ast.While, ast.Try,
)  # fmt: skip
COMPREHENSION = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@pytest.mark.parametrize("name", NAMES)
def test_has_no_logic_of_its_own(name: str) -> None:
    for cell in read(name).cells:
        if cell.cell_type == "code":
            nodes = list(ast.walk(ast.parse(cell.source)))
            assert not any(isinstance(node, LOGIC) for node in nodes)
            for node in nodes:
                if isinstance(node, COMPREHENSION):
                    loops = sum(isinstance(part, ast.comprehension) for part in ast.walk(node))
                    assert loops == 1, "a comprehension in another"


@pytest.mark.parametrize("name", ["validate", "inference", "export"])
def test_other_models_are_chosen_without_work_on_the_sample(name: str) -> None:
    """Without their comment signs, the lines for ImageNet are enough."""
    cell = ast.parse(parameters(read(name)).source)
    calls = {ast.unparse(node.func) for node in ast.walk(cell) if isinstance(node, ast.Call)}
    assert calls <= {"Path"}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where train.ipynb has run as it is, on the embedded sample."""
    path = tmp_path_factory.mktemp("sample")
    (path / "notebooks").mkdir()
    (path / "configs").symlink_to(NOTEBOOKS.parent / "configs")
    run_as_it_is("train", path)
    return path


def run_as_it_is(name: str, folder: Path) -> None:
    path = folder / "notebooks" / f"{name}.ipynb"
    nbformat.write(read(name), path)
    call = [sys.executable, NOTEBOOKS / "renew.py", path]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check(nbformat.read(path, as_version=4))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_runs_as_it_is(name: str, sample: Path) -> None:
    """On the embedded sample, of the sizes that its readers get."""
    if name != "train":  # that made the folder
        run_as_it_is(name, sample)
