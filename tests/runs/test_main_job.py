"""The main job by its commands, in processes of their own: prepare, train, validate, export."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

from mobilenet.packing.drawn_sample import write_sample

ROOT = Path(__file__).parent.parent.parent
CONFIG = """
model: {width_multiplier: 0.35, classes: 10}
data: {directory: records, resolution: 32}
validation: {short_side: 32, batch_size: 64}
schedule: {learning_rate: 0.1}
training: {epochs: 2, batch_size: 40}
"""


def run(folder: Path, *call: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs a script of the repository in `folder`; it has to end with `code`."""
    script, *arguments = map(str, call)
    program = [str(ROOT / script)] if script.endswith(".py") else ["-m", "mobilenet", script]
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space in its name in which everything up to the training has run."""
    folder = tmp_path_factory.mktemp("main job")
    write_sample(folder / "images", 12, 7, size=32, seed=3)
    (folder / "config.yaml").write_text(CONFIG)
    run(folder, "prepare", "--source", "images", "--output", "records")
    run(folder, "train.py", "config.yaml", "--run", "run")
    return folder


def validated(folder: Path, *call: object) -> dict[str, Any]:
    """What validate.py writes for machines."""
    run(folder, "validate.py", *call, "--json", "result.json")
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


@pytest.fixture(scope="module")
def of_run(job: Path) -> dict[str, Any]:
    """The result of validating the run, which other forms of the model have to repeat."""
    return validated(job, "run")


def test_a_run_checkpoint_and_file_of_parameters_are_one_model(
    job: Path, of_run: dict[str, Any]
) -> None:
    result = of_run
    assert result["num_images"] == 70
    assert result["top1"] == result["num_top1"] / 70
    assert result["transform"]["resolution"] == 32
    checkpoints = sorted((job / "run" / "checkpoints").iterdir())
    results = [validated(job, path) for path in checkpoints]
    assert max(one["num_top1"] for one in results) == result["num_top1"]
    newest, by_folder = checkpoints[-1], results[-1]
    by_file = validated(job, newest / "parameters.params", "--config", "config.yaml")
    assert (by_file["num_top1"], by_file["num_top5"]) == (
        by_folder["num_top1"],
        by_folder["num_top5"],
    )


def test_the_exported_file_is_the_same_model(job: Path, of_run: dict[str, Any]) -> None:
    run(job, "export.py", "run", "--output", "model.onnx")
    onnx.checker.check_model(str(job / "model.onnx"))
    opsets = [entry.version for entry in onnx.load(str(job / "model.onnx")).opset_import]
    assert opsets == [7]
    exported = validated(job, "model.onnx", "--data", "records")
    for key in ("num_images", "num_top1", "num_top5", "transform"):
        assert of_run[key] == exported[key]


def test_an_existing_run_is_not_overwritten(job: Path) -> None:
    before = (job / "run" / "log.jsonl").read_bytes()
    refused = run(job, "train.py", "config.yaml", "--run", "run", code=2)
    assert "--resume" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert (job / "run" / "log.jsonl").read_bytes() == before


def test_weights_of_another_width_are_refused(job: Path) -> None:
    best = next((job / "run" / "checkpoints").iterdir()) / "parameters.params"
    call = (best, "--config", "config.yaml", "model.width_multiplier=0.5", "--output", "no.onnx")
    refused = run(job, "export.py", *call, code=2)
    assert "do not fit the network" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (job / "no.onnx").exists()


def test_records_without_their_index_are_refused_and_mended(job: Path) -> None:
    index = job / "records" / "val.idx"
    content = index.read_bytes()
    index.unlink()
    refused = run(job, "validate.py", "run", code=2)
    assert "mobilenet verify --fix" in refused.stderr
    run(job, "verify", "records", code=1)
    run(job, "verify", "records", "--fix")
    assert index.read_bytes() == content


def test_a_result_that_cannot_be_written_is_told(job: Path) -> None:
    refused = run(job, "validate.py", "run", "--json", "config.yaml/result.json", code=2)
    assert "config.yaml" in refused.stderr
    assert refused.stderr.count("\n") == 1
