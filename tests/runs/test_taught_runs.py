"""Runs with a teacher: exactly resumable, and only with a teacher that fits and stays the same.

They also have a policy of augmentation and a resolution that grows.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from other_classifier import write_onnx
from tiny_run import STEPS_PER_EPOCH, config, digests, train, train_with_kills, write_records
from told import assert_told

from mobilenet import settings
from mobilenet.errors import ConfigError, UserError
from mobilenet.export.to_onnx import export
from mobilenet.inference.open_model import open_model
from mobilenet.packing.drawn_sample import CLASSES
from mobilenet.runs.checkpoint import checkpoint_paths, read_state
from mobilenet.runs.run_folder import check_teacher
from mobilenet.settings.schema import Config
from mobilenet.training import training_run
from mobilenet.training.opened_teacher import opened_teacher
from mobilenet.training.step import Objective

LEARNING = (
    "distillation.temperature=2",
    "augmentation.policy=randaugment",
    "training.resolution_steps=[[0, 32], [0.5, 48]]",
    "data.resolution=48",
    "validation.short_side=48",
)
TEACHER = ("distillation.teacher=teacher", *LEARNING)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records, a teacher with an input of its own, and the run `whole` that it taught."""
    made = tmp_path_factory.mktemp("taught")
    write_records(made / "records")
    training_run.train(teachers_config(made), made / "teacher", resume=False)
    done = train(made, "whole", *TEACHER)
    assert done.returncode == 0, done.stderr
    return made


def teachers_config(folder: Path, *overrides: str) -> Config:
    own = ("data.resolution=48", "validation.short_side=null", "data.mean=[0.5,0.5,0.5]")
    return config(folder / "records", "training.epochs=1", *own, *overrides)


def test_the_run_tells_its_teacher(folder: Path) -> None:
    report = (folder / "whole/report.md").read_text()
    assert f"teacher: {folder / 'teacher'}" in report
    assert "teacher's input: 48x48 px, mean (0.5, 0.5, 0.5), std (0.229, 0.224, 0.225)" in report
    written = settings.load(Config, folder / "whole/config.yaml")
    assert written.distillation.teacher == str(folder / "teacher")


def test_killed_and_resumed(folder: Path) -> None:
    """Once at each resolution."""
    train_with_kills(folder, "killed", (4, STEPS_PER_EPOCH + 4), *TEACHER)
    assert digests(folder / "killed") == digests(folder / "whole")


def resume(folder: Path, run: str, made: Config) -> str:
    """The message with which resuming is refused; the run stays as it was."""
    before = digests(folder / run)
    with pytest.raises(ConfigError) as caught:
        training_run.train(made, folder / run, resume=True)
    assert digests(folder / run) == before
    return str(caught.value)


def test_another_teacher_is_refused_and_the_same_elsewhere_is_not(folder: Path) -> None:
    write_onnx(folder / "another.onnx")
    shutil.copytree(folder / "teacher", folder / "moved")

    def taught(teacher: str, *overrides: str) -> Config:
        named = f"distillation.teacher={folder / teacher}"
        return config(folder / "records", named, *LEARNING, *overrides)

    told = resume(folder, "whole", taught("another.onnx"))
    assert_told(told, "another teacher than before")
    told = resume(folder, "whole", taught("teacher", "distillation.teacher_resolution=32"))
    assert_told(told, "another teacher than before")
    shutil.copytree(folder / "whole", folder / "resumed")
    training_run.train(taught("moved"), folder / "resumed", resume=True)


def test_a_run_keeps_having_a_teacher_or_none(folder: Path) -> None:
    named = f"distillation.teacher={folder / 'teacher'}"
    told = resume(folder, "teacher", teachers_config(folder, named))
    assert_told(told, "a teacher where there was none, or none any more")
    with pytest.raises(ConfigError, match="the run began with a teacher; keep to that"):
        check_teacher({"SHA-256": "0"}, {})


def refusal(folder: Path, name: str, *overrides: str) -> str:
    made = config(folder / "records", f"distillation.teacher={folder / name}", *overrides)
    with pytest.raises(UserError) as caught:
        opened_teacher(made, Objective(10).mix)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_teacher_that_does_not_fit_is_refused_before_a_folder_is_made(folder: Path) -> None:
    write_onnx(folder / "seven.onnx", num_classes=7)
    done = train(folder, "none", "distillation.teacher=seven.onnx")
    assert done.returncode == 2
    assert_told(done.stderr, "a teacher with another number of classes")
    assert not (folder / "none").exists()


def test_teachers_that_cannot_teach(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = folder / "cut.onnx"
    write_onnx(whole)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    assert refusal(folder, "cut.onnx").startswith(f"distillation.teacher: {whole}")
    assert "no such file or folder" in refusal(folder, "nothing")
    weights = checkpoint_paths(folder / "teacher")[-1] / "average.params"
    (folder / "cut.params").write_bytes(weights.read_bytes()[:5000])
    assert str(folder / "cut.params") in refusal(folder, "cut.params")
    write_onnx(folder / "fixed.onnx", size=40)
    told = refusal(folder, "fixed.onnx", "distillation.teacher_resolution=64")
    assert "takes images of 3x40x40" in told
    random = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "no classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 30, 30])],
        [numpy_helper.from_array(random, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    onnx.save(model, folder / "maps.onnx")
    assert "an image classifier takes (N, 3, H, W)" in refusal(folder, "maps.onnx")


def test_a_teacher_of_other_classes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    other = folder / "other"
    shutil.copytree(folder / "teacher", other)
    (other / "synset.txt").write_text("".join(f"{name}\n" for name in reversed(CLASSES)))
    told = refusal(folder, "other")
    assert_told(told, "a teacher of other classes")
    assert f"label 0 is {CLASSES[-1]!r} there and {CLASSES[0]!r}" in told


@pytest.mark.parametrize(
    ("setting", "value"),
    [("teacher_weight", "0.5"), ("teacher_resolution", "96"), ("temperature", "2")],
)
def test_settings_without_a_teacher(setting: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"distillation.{setting}: has no effect without"):
        settings.loads(Config, "", "x", [f"distillation.{setting}={value}"])


def test_a_classifier_of_another_family(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a bare file, the settings say what its metadata do not."""
    write_onnx(folder / "bare.onnx", size=None)
    given = (
        f"distillation.teacher={folder / 'bare.onnx'}",
        "distillation.teacher_resolution=36",
        "distillation.teacher_mean=[0.5,0.5,0.5]",
        "distillation.teacher_std=[0.5,0.5,0.5]",
    )
    short = ("training.epochs=1", "data.num_workers=1")
    for run, teacher in (("bare", given), ("alone", ())):
        made = config(folder / "records", *short, *teacher)
        training_run.train(made, folder / run, resume=False)
    assert "guess" not in capsys.readouterr().err
    (state,) = map(read_state, checkpoint_paths(folder / "bare")[-1:])
    assert state.teacher["input"] == "36x36 px, mean (0.5, 0.5, 0.5), std (0.5, 0.5, 0.5)"
    taught, alone = (digests(folder / run)["parameters.params"] for run in ("bare", "alone"))
    assert taught != alone


def test_a_run_and_its_export_teach_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    export(open_model(folder / "teacher"), folder / "same.onnx")
    images = np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype(np.float32)
    answers = []
    for name in ("teacher", "same.onnx"):
        made = config(folder / "records", f"distillation.teacher={folder / name}")
        teacher, digest = opened_teacher(made, Objective(10).mix)
        assert teacher is not None
        assert teacher.size == (48, 48)
        assert len(digest["SHA-256"]) == 64
        answers.append(teacher.answers(images))
    np.testing.assert_allclose(*answers, rtol=1e-3, atol=1e-4)
