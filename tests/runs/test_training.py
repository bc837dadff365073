"""Training in this process: what a run makes of its settings and leaves behind."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Callable, Iterable

import mxnet as mx
import numpy as np
import pytest
from tiny_run import (
    BATCH_SIZE,
    NUM_EPOCHS,
    STEPS_PER_EPOCH,
    config,
    digests,
    events,
    write_records,
)
from told import assert_told

from mobilenet import settings
from mobilenet.data.batch_reader import Batch
from mobilenet.data.manifest import Manifest
from mobilenet.data.record_file import RecordFile, RecordWriter
from mobilenet.distributed.group import Group
from mobilenet.errors import (
    ConfigError,
    DataError,
    RunStopped,
    UserError,
    VerificationError,
    WeightsError,
)
from mobilenet.evaluation import evaluate
from mobilenet.inference.open_model import open_model
from mobilenet.metrics import Counts, Predict
from mobilenet.network import graph_forms
from mobilenet.runs import checkpoint, run_folder
from mobilenet.runs.checkpoint import checkpoint_paths
from mobilenet.runs.checkpoint_averaging import average_checkpoints
from mobilenet.runs.checkpoint_folder import read_checkpoint
from mobilenet.runs.described_weights import weights_file
from mobilenet.runs.epoch_record import EpochRecord
from mobilenet.runs.run_table import read_runs, settings_table
from mobilenet.settings.schema import Config
from mobilenet.skipped_items import SkippedItems
from mobilenet.training import build as training_build
from mobilenet.training import epoch_loop, training_run
from mobilenet.training.epoch_loop import Trainer
from mobilenet.training.learner import Learner
from mobilenet.training.run_parts import Parts
from mobilenet.training.step import PendingOutcome
from mobilenet.training.training_run import train
from mobilenet.validation.validate import validate


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "records"
    write_records(folder)
    return folder


@pytest.fixture(scope="module")
def finished(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs with BatchNorm's statistics computed afresh."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    train(config(records, "training.recalibration_batches=2"), run, resume=False)
    return run


def started(made: Config) -> Learner:
    """What trains as a run begins with it."""
    parts = training_build.parts(made)
    learner = parts.make_learner()
    parts.load_initial_weights(learner)
    return learner


def arrays(path: Path, group: str = "parameters") -> dict[str, np.ndarray]:
    return {n: a.asnumpy() for n, a in read_checkpoint(path).arrays(group).items()}


def test_a_run_folder_describes_itself(finished: Path, records: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {
        ".lock",
        "checkpoints",
        "config.yaml",
        "curves.png",
        "log.jsonl",
        "report.md",
        "synset.txt",
    }
    assert (finished / "synset.txt").read_text() == (records / "synset.txt").read_text()
    saved = settings.load(Config, finished / "config.yaml")
    assert saved == config(records, "training.recalibration_batches=2")
    report = (finished / "report.md").read_text()
    assert f"\n* training records: 60 in {records / 'train.rec'}\n" in report
    assert "\n* steps: 14, 7 to an epoch\n" in report
    assert re.search(r"\n\* machine: \d+ x .+\n\* versions: mobilenet .+, mxnet 1.9.1,", report)
    kinds = [record["event"] for record in events(finished)]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert kinds.count("progress") == 2 * STEPS_PER_EPOCH
    assert kinds.count("epoch") == 2
    assert events(finished)[0]["split"] == "val"


def test_the_log_says_which_graph_trained(
    finished: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert events(finished)[0]["graph"] == graph_forms.training_form([mx.cpu()])._asdict()
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(graph_forms, "sound_block_size", lambda _: None)
    train(config(records, "training.epochs=1"), tmp_path / "run", resume=False)
    graph = events(tmp_path / "run")[0]["graph"]
    assert graph["name"] == "plain"
    assert "oneDNN refuses" in graph["reason"]


def test_the_rate_of_every_step_is_the_closed_formula(finished: Path) -> None:
    """A warm-up of half an epoch to 0.02, then half a cosine wave to 0 at the end."""
    progress = [e for e in events(finished) if e["event"] == "progress"]
    num_warmup, num_steps = round(0.5 * STEPS_PER_EPOCH), NUM_EPOCHS * STEPS_PER_EPOCH
    assert [e["step"] for e in progress] == list(range(1, num_steps + 1))
    for number, event in enumerate(progress):
        angle = math.pi * (number - num_warmup) / (num_steps - num_warmup)
        risen, fallen = 0.02 * (number + 1) / num_warmup, 0.01 * (1 + math.cos(angle))
        expected = risen if number < num_warmup else fallen
        assert event["learning_rate"] == pytest.approx(expected, rel=1e-9)


def test_what_was_validated_is_what_is_deployed(finished: Path) -> None:
    """The figures of the log are those of the file that validate and export take."""
    best, record = checkpoint.best(finished)
    assert read_checkpoint(best).state.weights == "deployed"
    counts = validate(open_model(finished)).counts
    assert (counts.num_images, counts.top1, counts.top5) == (20, record.top1, record.top5)
    assert counts.loss == pytest.approx(record.loss, rel=1e-5)
    deployed, averaged = arrays(best, "deployed"), arrays(best, "average")
    for name, values in deployed.items():
        assert (values == averaged[name]).all() == ("running" not in name), name


def test_weights_without_recalibration_are_the_averages(records: Path, tmp_path: Path) -> None:
    result = train(config(records, "training.epochs=1"), tmp_path / "run", resume=False)
    assert weights_file(result.best) == result.best / "average.params"
    assert not (result.best / "deployed.params").exists()
    averaged, trained = arrays(result.best, "average"), arrays(result.best)
    assert (averaged["head_conv_weight"] != trained["head_conv_weight"]).any()
    assert validate(open_model(tmp_path / "run")).counts.top1 == result.record.top1


def test_a_new_run_is_refused_where_one_is(finished: Path, records: Path) -> None:
    before = digests(finished)
    with pytest.raises(UserError, match="exists already"):
        train(config(records), finished, resume=False)
    assert digests(finished) == before


def test_resuming_a_finished_run_changes_nothing(finished: Path, records: Path) -> None:
    before = digests(finished)
    again = config(records, "training.recalibration_batches=2", "log.every_steps=5")
    result = train(again, finished, resume=True)
    assert digests(finished) == before
    assert result.summary().endswith("on the 20 images of val.rec")


def test_the_report_of_the_folder_one_is_in_has_its_name(
    finished: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    train(config(records, "training.recalibration_batches=2"), Path(), resume=True)
    assert Path("report.md").read_text().startswith("# finished\n")


def test_resuming_with_another_setting_names_it(finished: Path, records: Path) -> None:
    other = config(records, "training.recalibration_batches=2", "optimizer.momentum=0.5")
    with pytest.raises(ConfigError, match=r"began with optimizer.momentum = 0.9"):
        train(other, finished, resume=True)


def test_a_finished_run_is_prolonged(finished: Path, records: Path, tmp_path: Path) -> None:
    """From where it was, at the rates of the longer schedule; that it is another one is said."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    longer = config(records, "training.recalibration_batches=2", "training.epochs=3")
    result = train(longer, run, resume=True)
    assert result is not None
    assert read_checkpoint(checkpoint_paths(run)[-1]).state.progress.step == 3 * STEPS_PER_EPOCH
    assert [e["text"] for e in events(run) if e["event"] == "warning"] == [
        "no longer bit for bit equal to an unchanged run: training.epochs: 2 -> 3"
    ]
    rates = {e["step"]: e["learning_rate"] for e in events(run) if e["event"] == "progress"}
    schedule = training_build.schedule(longer, STEPS_PER_EPOCH)
    for step in range(2 * STEPS_PER_EPOCH + 1, 3 * STEPS_PER_EPOCH + 1):
        assert rates[step] == pytest.approx(schedule(step - 1))


def test_resuming_on_other_records_is_refused(
    finished: Path, records: Path, tmp_path: Path
) -> None:
    """Elsewhere they may be; but the same."""
    moved = tmp_path / "moved"
    shutil.copytree(records, moved)
    train(config(moved, "training.recalibration_batches=2"), finished, resume=True)
    with (moved / "train.rec").open("ab") as file:
        file.write(bytes(4))
    later = finished / "checkpoints" / "step-00009999"  # as a damaged one would be removed
    later.mkdir()
    with pytest.raises(DataError, match=r"train.rec is not the file") as caught:
        train(config(moved, "training.recalibration_batches=2"), finished, resume=True)
    assert_told(str(caught.value), "resuming on other records")
    later.rmdir()  # what is refused changes nothing


def test_resuming_with_other_class_names_is_refused(
    finished: Path, records: Path, tmp_path: Path
) -> None:
    """They would take the place of the run's, which its images were labelled by."""
    moved, run = tmp_path / "moved", tmp_path / "run"
    shutil.copytree(records, moved)
    shutil.copytree(finished, run)
    names = (records / "synset.txt").read_text().splitlines()
    (moved / "synset.txt").write_text("\n".join(names[::-1]))
    with pytest.raises(DataError, match=r"moved/synset.txt: names other") as caught:
        train(config(moved, "training.recalibration_batches=2"), run, resume=True)
    assert_told(str(caught.value), "resuming with other class names")
    assert (run / "synset.txt").read_text() == (records / "synset.txt").read_text()


def test_a_run_may_have_a_name_that_is_no_text(
    finished: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(finished, run)
    newest = checkpoint_paths(run)[-1]
    (newest / "deployed.params").write_bytes(b"")
    boards = ["log.tensorboard=true"] if importlib.util.find_spec("tensorboardX") else []
    same = config(records, "training.recalibration_batches=2", *boards)
    assert train(same, run, resume=True) is not None
    assert "set aside as damaged-" in warnings_of(run)[-1]
    assert "caf\\udce9/checkpoints/" in capsys.readouterr().err
    assert "# caf\\udce9\n" in (run / "report.md").read_text()
    assert len(read_runs([run, finished])) == 2


def test_a_mistake_leaves_no_folder(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    missing = tmp_path / "missing.params"
    for mistaken in (
        config(tmp_path / "nowhere"),
        config(records, "training.batch_size=4000"),
        config(records, "model.classes=5"),
        config(records, f"training.initial_weights={missing}"),
        config(records, "log.tensorboard=true"),
    ):
        with pytest.raises(UserError):
            train(mistaken, run, resume=False)
        assert not run.exists()


def test_a_run_killed_before_its_log_can_be_resumed(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    run, short = tmp_path / "run", config(records, "training.epochs=1")
    with monkeypatch.context() as patched:
        patched.setattr(training_run, "RunLog", killed)
        with pytest.raises(KeyboardInterrupt):
            train(short, run, resume=False)
    with pytest.raises(UserError, match="continue the run with --resume"):
        train(short, run, resume=False)
    assert train(short, run, resume=True) is not None


def test_a_folder_that_another_process_took_meanwhile_is_left_alone(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, mine = tmp_path / "run", config(records)

    def parts_while_another_begins(config: Config, group: Group) -> Parts:
        run_folder.describe(run, Config())
        return training_build.parts(config, group)

    monkeypatch.setattr(training_run, "_parts", parts_while_another_begins)
    with pytest.raises(UserError, match="exists already"):
        train(mine, run, resume=False)
    assert settings.load(Config, run / "config.yaml") == Config()


def test_minival_is_what_epochs_are_compared_on(tmp_path: Path) -> None:
    write_records(tmp_path / "records", ("train", "val", "minival"))
    result = train(config(tmp_path / "records", "training.epochs=1"), tmp_path / "run", False)
    assert result.record.split == "minival"
    assert "minival.rec" in result.summary()


def test_a_stop_during_validation_repeats_it(
    finished: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps of the epoch are saved; the validation is done by whoever resumes."""

    def signalled(predict: Predict, batches: Iterable[Batch], *others: Any) -> Counts:
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(predict, batches, *others)

    run, same = tmp_path / "run", config(records, "training.recalibration_batches=2")
    with monkeypatch.context() as patched:
        patched.setattr(epoch_loop, "evaluate", signalled)
        with pytest.raises(RunStopped, match="stopped by SIGTERM"):
            train(same, run, resume=False)
    newest = read_checkpoint(checkpoint_paths(run)[-1])
    assert newest.state.progress.step == STEPS_PER_EPOCH
    assert newest.state.progress.epoch_metrics.num_images == STEPS_PER_EPOCH * BATCH_SIZE
    assert newest.state.record is None
    train(same, run, resume=True)
    assert digests(run) == digests(finished)


def test_a_stop_between_two_epochs_saves_what_was_validated(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after an epoch that would have had no checkpoint."""

    def signalled(self: Trainer, counts: Counts) -> EpochRecord:
        record = record_of(self, counts)
        if record.epoch == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            return dataclasses.replace(record, top1=-1.0)  # not the best: nothing is due
        return record

    record_of = Trainer._record
    monkeypatch.setattr(Trainer, "_record", signalled)
    recalibrating = ("training.recalibration_batches=2", "training.epochs=3")
    seldom = ("checkpoint.every_epochs=5", "checkpoint.every_steps=null")
    with pytest.raises(RunStopped):
        train(config(records, *recalibrating, *seldom), tmp_path / "run", resume=False)
    newest = read_checkpoint(checkpoint_paths(tmp_path / "run")[-1])
    assert newest.state.record is not None
    assert newest.state.record.epoch == 2
    assert newest.state.weights == "deployed"
    loss = validate(open_model(newest.path)).counts.loss
    assert loss == pytest.approx(newest.state.record.loss, rel=1e-5)


def test_a_validation_that_misses_an_image_ends_the_run(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(predict: Predict, batches: Iterable[Batch], *others: Any) -> Counts:
        counts = evaluate(predict, batches, *others)
        return counts._replace(num_images=counts.num_images - 1)

    monkeypatch.setattr(epoch_loop, "evaluate", short)
    with pytest.raises(VerificationError, match="validation took 19 images, not 20"):
        train(config(records), tmp_path / "run", resume=False)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Makes the images of a step go bad in memory, the first few times that the run comes to it."""
    step_of_learner = Learner.step

    def set_faults(bad_step: int, num_faults: int) -> None:
        left = iter(range(num_faults))

        def step(self: Learner, batch: Batch, number: int, *more: Any) -> PendingOutcome:
            if number == bad_step and next(left, None) is not None:
                batch.data[0] = np.nan
            return step_of_learner(self, batch, number, *more)

        monkeypatch.setattr(Learner, "step", step)

    return set_faults


def test_a_loss_that_is_not_finite_names_step_rate_and_ways_out(
    records: Path, tmp_path: Path, faults: Callable[[int, int], None]
) -> None:
    faults(4, 1)
    run = tmp_path / "run"
    with pytest.raises(VerificationError) as caught:
        train(config(records), run, resume=False)
    assert str(caught.value) == (
        "the loss or its gradient is no longer finite at step 5 (epoch 1, learning rate 0.02);"
        f" the last good checkpoint is {run}/checkpoints/step-00000003; lower"
        " schedule.learning_rate; `mobilenet find-rate` suggests one; schedule.warmup_epochs,"
        " optimizer.clip_norm and training.rollbacks help"
    )
    (path,) = checkpoint_paths(run)
    assert all(np.isfinite(values).all() for values in arrays(path).values())


@pytest.mark.parametrize(("bad_step", "returns_to"), [(1, 0), (9, 9), (11, 9)])
def test_rollbacks_return_to_the_last_checkpoint_at_half_the_rate(
    records: Path,
    tmp_path: Path,
    faults: Callable[[int, int], None],
    bad_step: int,
    returns_to: int,
) -> None:
    faults(bad_step, 2)
    run = tmp_path / "run"
    result = train(config(records, "training.rollbacks=2"), run, resume=False)
    rollbacks = [e for e in events(run) if e["event"] == "rollback"]
    assert [e["num_rollbacks"] for e in rollbacks] == [1, 2]
    assert [e["step"] for e in rollbacks] == [returns_to, returns_to]
    rates = {e["step"]: e["learning_rate"] for e in events(run) if e["event"] == "progress"}
    whole = training_build.schedule(config(records), STEPS_PER_EPOCH)
    for step, rate in rates.items():
        assert rate == pytest.approx(whole(step - 1) * (0.25 if step > returns_to else 1))
    assert read_checkpoint(checkpoint_paths(run)[-1]).state.progress.num_rollbacks == 2
    assert all(np.isfinite(values).all() for values in arrays(result.best).values())


def test_more_faults_than_rollbacks_end_the_run(
    records: Path, tmp_path: Path, faults: Callable[[int, int], None]
) -> None:
    faults(1, 2)
    with pytest.raises(VerificationError, match="no longer finite at step 2"):
        train(config(records, "training.rollbacks=1"), tmp_path / "run", resume=False)


@pytest.mark.parametrize(
    ("value", "what"), [(np.inf, "a parameter is"), (1e16, "the network's output is")]
)
def test_the_last_update_of_an_epoch_is_looked_at_like_the_others(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, what: str
) -> None:
    """No loss of the epoch has seen it; its validation is the first that could go wrong."""
    step_of_learner, faults_left = Learner.step, iter(range(2))

    def step(self: Learner, batch: Batch, number: int, *more: Any) -> PendingOutcome:
        outcome = step_of_learner(self, batch, number, *more)
        if number == STEPS_PER_EPOCH - 1 and next(faults_left, None) is not None:
            for name, array in self.groups()["parameters"].items():
                if name.endswith("gamma"):
                    array[:] = value
        return outcome

    monkeypatch.setattr(Learner, "step", step)
    short = ("training.epochs=1", "training.ema_decay=null", "model.activation=relu")
    with pytest.raises(VerificationError) as caught:
        train(config(records, *short), tmp_path / "stopped", resume=False)
    assert str(caught.value).startswith(f"{what} no longer finite at step 7 (epoch 1, learning")
    assert "step-00000006; lower schedule.learning_rate" in str(caught.value)
    # ReLU makes zeros of NaN, so that a broken network may well have an accuracy.
    assert "epoch" not in {event["event"] for event in events(tmp_path / "stopped")}
    train(config(records, *short, "training.rollbacks=1"), tmp_path / "run", resume=False)
    (rollback,) = (e for e in events(tmp_path / "run") if e["event"] == "rollback")
    assert rollback["step"] == 6


def test_fine_tuning_with_other_classes(
    finished: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = weights_file(checkpoint.best(finished)[0])
    more = tmp_path / "records"
    shutil.copytree(records, more)
    with (more / "synset.txt").open("a") as synset:
        synset.write("eleven\ntwelve\n")
    settings_ = (
        f"training.initial_weights={start}",
        "training.frozen_stages=5",
        "training.epochs=1",
        "training.ema_decay=null",
        "model.classes=12",
    )
    result = train(config(more, *settings_), tmp_path / "tuned", resume=False)
    begun, tuned = mx.nd.load(str(start)), arrays(result.best)
    for name, values in tuned.items():
        stage = name.split("_")[0]
        if stage in ("stem", "stage1", "stage2", "stage3", "stage4"):
            assert (values == begun[name].asnumpy()).all(), name
        elif name.endswith("weight") and stage != "classifier":
            assert (values != begun[name].asnumpy()).any(), name
    assert tuned["classifier_weight"].shape[0] == 12
    first = events(tmp_path / "tuned")[0]
    assert first["random_start"] == ["classifier_bias", "classifier_weight"]
    assert "; the classifier starts at random\n" in capsys.readouterr().err


def test_fine_tuning_takes_a_classifier_that_fits(
    finished: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = weights_file(checkpoint.best(finished)[0])
    tuned = config(
        records, f"training.initial_weights={start}", "training.epochs=1", "log.every_steps=100"
    )
    train(tuned, tmp_path / "run", resume=False)
    assert events(tmp_path / "run")[0]["random_start"] == []
    assert "at random" not in capsys.readouterr().err


def warnings_of(run: Path) -> list[str]:
    return [event["text"] for event in events(run) if event["event"] == "warning"]


def test_fine_tuning_on_as_many_other_classes_starts_the_classifier_at_random(
    finished: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = tmp_path / "records"
    shutil.copytree(records, others)
    (others / "synset.txt").write_text("".join(f"other {label}\n" for label in range(10)))
    tuned = config(others, f"training.initial_weights={finished}", "training.epochs=1")
    train(tuned, tmp_path / "run", resume=False)
    begin = events(tmp_path / "run")[0]
    assert begin["random_start"] == ["classifier_bias", "classifier_weight"]
    assert "; the classifier starts at random\n" in capsys.readouterr().err
    first = (records / "synset.txt").read_text().splitlines()[0]
    file = weights_file(checkpoint.best(finished)[0])
    assert warnings_of(tmp_path / "run") == [
        f"{file}: its classes are others (label 0 was {first!r} and is 'other 0'):"
        " the classifier starts at random"
    ]


def test_fine_tuning_with_another_normalisation_says_so(
    finished: Path, records: Path, tmp_path: Path
) -> None:
    other = ("data.mean=[0.5, 0.5, 0.5]", "model.activation=relu", "training.epochs=1")
    start = checkpoint_paths(finished)[-1]
    tuned = config(records, f"training.initial_weights={start}", *other)
    train(tuned, tmp_path / "run", resume=False)
    file = weights_file(start)
    assert warnings_of(tmp_path / "run") == [
        f"{file}: was trained with another data.mean: (0.485, 0.456, 0.406) -> (0.5, 0.5, 0.5)",
        f"{file}: was trained with another model.activation: relu6 -> relu",
    ]


def test_fine_tuning_heeds_what_lies_beside_a_file_of_parameters(
    finished: Path, records: Path, tmp_path: Path
) -> None:
    file = tmp_path / "net.params"
    shutil.copy(weights_file(checkpoint.best(finished)[0]), file)
    same = config(records, f"training.initial_weights={file}", "training.epochs=1")
    start = started(same).start
    assert start.random == ()
    assert start.warnings == (f"{file}: its class names are unknown; its classifier is kept",)
    (tmp_path / "net.yaml").write_text("data: {std: [0.1, 0.2, 0.3]}")
    (tmp_path / "net-synset.txt").write_text((records / "synset.txt").read_text())
    start = started(same).start
    assert start.random == ()
    assert start.warnings == (
        f"{file}: was trained with another data.std: (0.1, 0.2, 0.3) -> (0.229, 0.224, 0.225)",
    )
    names = (records / "synset.txt").read_text().splitlines()
    (tmp_path / "net-synset.txt").write_text("\n".join(names[::-1]))
    assert started(same).start.random == ("classifier_bias", "classifier_weight")


def test_weights_to_start_from_may_be_a_run_or_a_checkpoint(
    finished: Path, records: Path, tmp_path: Path
) -> None:
    best = checkpoint.best(finished)[0]
    other = next(path for path in checkpoint_paths(finished) if path != best)
    for start, expected in ((finished, best), (best, best), (other, other)):
        learner = started(config(records, f"training.initial_weights={start}"))
        weights = mx.nd.load(str(weights_file(expected)))
        for name, array in learner.groups()["parameters"].items():
            assert (array.asnumpy() == weights[name].asnumpy()).all(), name


def test_weights_to_start_from_that_are_none(records: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "weights.npz"
    foreign.write_bytes(b"PK of another program")
    messages = {
        tmp_path: "has no checkpoint that was validated yet",
        foreign: r"weights.npz: not a NumPy archive \(.npz\), or damaged",
    }
    for start, message in messages.items():
        with pytest.raises(WeightsError, match=message):
            started(config(records, f"training.initial_weights={start}"))


def test_initial_weights_of_another_width_are_refused(
    finished: Path, records: Path, tmp_path: Path
) -> None:
    start = weights_file(checkpoint.best(finished)[0])
    other = config(records, f"training.initial_weights={start}", "model.width_multiplier=0.5")
    with pytest.raises(WeightsError, match=r"another width multiplier"):
        train(other, tmp_path / "run", resume=False)


def spoil(path: Path, start: int, size: int) -> None:
    """Puts zeros in the place of some bytes of a file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(size))


def damaged(records: Path, copy: Path, split: str, what: str) -> Path:
    """A copy of the records in which record 4 of a split has no image or no header."""
    shutil.copytree(records, copy)
    path = copy / f"{split}.rec"
    opened = RecordFile(path)
    image = bytes(opened.image(4))
    places = {
        "image": (path.read_bytes().index(image), len(image)),
        "header": (int(opened.offsets[4]), 4),
    }
    spoil(path, *places[what])
    return copy


@pytest.mark.parametrize("what", ["image", "header"])
def test_corrupt_records_are_replaced_and_named(what: str, records: Path, tmp_path: Path) -> None:
    copy = damaged(records, tmp_path / "records", "train", what)
    with pytest.raises(DataError, match="record 4"):
        train(config(copy, "training.epochs=1"), tmp_path / "strict", resume=False)
    lenient = config(copy, "training.epochs=1", "data.max_bad_records=1")
    train(lenient, tmp_path / "lenient", resume=False)
    found = events(tmp_path / "lenient")
    (warning,) = [e["text"] for e in found if e["event"] == "warning"]
    assert "record 4" in warning
    assert [e["num_bad_records"] for e in found if e["event"] == "epoch"] == [1]


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_unreadable_image_costs_no_step(
    split: str, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk spoils it while the run is under way; a sound file is given back."""
    spoilt, run = damaged(records, tmp_path / "spoilt", split, "image"), tmp_path / "run"
    copy = tmp_path / "records"
    shutil.copytree(records, copy)
    make = training_run._parts

    def spoil_after(*given: Any) -> Any:
        made = make(*given)
        (copy / f"{split}.rec").write_bytes((spoilt / f"{split}.rec").read_bytes())
        return made

    once = config(copy, "training.epochs=1", "checkpoint.every_steps=null")
    match = r"record 4: .*; saved .*step-\d+; continue with --resume"
    with monkeypatch.context() as patched, pytest.raises(DataError, match=match):
        patched.setattr(training_run, "_parts", spoil_after)
        train(once, run, resume=False)
    (saved,) = checkpoint_paths(run)
    num_done = read_checkpoint(saved).state.progress.step
    assert num_done == STEPS_PER_EPOCH if split == "val" else num_done < STEPS_PER_EPOCH
    shutil.copy(records / f"{split}.rec", copy)
    train(once, run, resume=True)
    whole = tmp_path / "whole"
    train(config(records, "training.epochs=1", "checkpoint.every_steps=null"), whole, resume=False)
    assert digests(run) == digests(whole)


def test_training_labels_beyond_the_classes_are_refused(records: Path, tmp_path: Path) -> None:
    copy = tmp_path / "records"
    shutil.copytree(records, copy)
    (copy / "synset.txt").unlink()  # nothing tells the number of classes but the labels
    opened = RecordFile(records / "val.rec")
    with RecordWriter(copy / "val.rec", copy / "val.idx") as writer:
        writer.write(0, 0, bytes(opened.image(0)))  # in validation there is no such label
    fewer = config(copy, "model.classes=9")
    with pytest.raises(DataError, match=r"labels from \d to 9, but the network has 9"):
        train(fewer, tmp_path / "late", resume=False)
    manifest = Manifest("", {}, {}, {}, "", 10, "", {}, [], [])
    (copy / "manifest.json").write_text(manifest.to_json())
    with pytest.raises(DataError, match="have 10 classes, but the model has 9"):
        train(fewer, tmp_path / "early", resume=False)
    assert not (tmp_path / "early").exists()


def test_two_devices_leave_one_set_of_statistics(records: Path, tmp_path: Path) -> None:
    both = config(
        records, "training.devices=[cpu(0), cpu(1)]", "training.epochs=1", "training.ema_decay=null"
    )
    result = train(both, tmp_path / "run", resume=False)
    counts = validate(open_model(tmp_path / "run")).counts
    assert counts.top1 == result.record.top1


def test_the_mean_of_checkpoints(finished: Path, tmp_path: Path) -> None:
    paths = checkpoint_paths(finished)
    average_checkpoints(paths, tmp_path / "mean.params")
    members = [arrays(path, read_checkpoint(path).state.weights) for path in paths]
    for name, mean in mx.nd.load(str(tmp_path / "mean.params")).items():
        expected = sum(member[name].astype(np.float64) for member in members) / len(members)
        np.testing.assert_allclose(mean.asnumpy(), expected, rtol=1e-6, atol=1e-12)
    with pytest.raises(WeightsError, match="no checkpoint to average"):
        average_checkpoints([], tmp_path / "none.params")


def test_runs_are_compared(finished: Path, records: Path, tmp_path: Path) -> None:
    other = dataclasses.replace(config(records, "training.epochs=1", "optimizer.momentum=0.8"))
    train(other, tmp_path / "other", resume=False)
    runs = read_runs([finished, tmp_path / "other"])
    assert [(run.name, len(run.history)) for run in runs] == [("finished", 2), ("other", 1)]
    lines = settings_table(runs)
    assert lines[0] == "| setting | finished | other |"
    assert "| optimizer.momentum | 0.9 | 0.8 |" in lines
    assert "| training.recalibration_batches | 2 | 0 |" in lines
    assert not any("schedule" in line for line in lines)
    with pytest.raises(UserError, match="no run that has finished an epoch"):
        read_runs([tmp_path])
    # Beside others it is left out.
    bad = SkippedItems("runs", 3)
    assert read_runs([tmp_path, finished, tmp_path / "other"], bad) == runs
    with pytest.raises(VerificationError, match=f"^1 of 3 runs left out: {tmp_path}$"):
        bad.check()
    with pytest.raises(UserError, match="none of these 2 runs can be compared"):
        read_runs([tmp_path, tmp_path], SkippedItems("runs", 2))


def test_compared_runs_have_the_names_that_were_given(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("warm", "cold", "again/cold"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(finished)
    monkeypatch.chdir(tmp_path)
    links = [Path("warm"), Path("cold"), Path("again/cold")]
    assert [run.name for run in read_runs(links[:2])] == ["warm", "cold"]
    assert [run.name for run in read_runs(links)] == ["warm", "cold", "again/cold"]
    monkeypatch.chdir(finished)
    assert [run.name for run in read_runs([Path()])] == ["finished"]
