"""A hundred kills of each command that writes, at random moments; what follows them ends well."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from killing import finish, kill, moments, start
from tiny_run import CONFIG, digests, write_records

from mobilenet.packing.drawn_sample import write_sample
from mobilenet.runs.checkpoint import checkpoint_paths
from mobilenet.runs.checkpoint_folder import read_checkpoint

NUM_KILLS, SEED = 100, 20
CHAIN = 5  # kills, one after the other, before a run is let end

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("kills")
    write_records(made / "records")
    (made / "tiny.yaml").write_text(CONFIG)
    write_sample(made / "images", num_train_per_class=20, num_val_per_class=5, size=32, seed=0)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def report(command: str, signals: list[str]) -> None:
    """Shows with `pytest -s` how far it is."""
    counts = {name: signals.count(name) for name in sorted(set(signals))}
    sys.stdout.write(f"{command}: seed {SEED}, {len(signals)} kills, {counts}\n")
    sys.stdout.flush()


def test_prepare(folder: Path) -> None:
    """Killed, it leaves nothing with a final name, or all; then it makes the same as ever."""
    words = ["prepare", "--source", "images", "--output", "prepared"]
    output, signals = folder / "prepared", list[str]()
    total = finish(folder, words)
    expected = contents(output)
    for seconds, number in moments(total, SEED):
        shutil.rmtree(output)
        if kill(start(folder, words), seconds, number):
            signals.append(number.name)
        finish(folder, words)
        assert contents(output) == expected, (seconds, number)
        report("prepare", signals)
        if len(signals) == NUM_KILLS:
            break


def test_train(folder: Path) -> None:
    """The run goes on from its newest checkpoint, and its end is that of a run nobody killed."""
    words = ["train", "tiny.yaml", "--run"]
    total = finish(folder, [*words, "whole"])
    run, signals = folder / "killed", list[str]()
    for seconds, number in moments(total, SEED):
        resume = ["--resume"] if (run / "config.yaml").exists() else []
        before = checkpoint_paths(run)[-1:]
        was_killed = kill(start(folder, [*words, "killed", *resume]), seconds, number)
        signals += [number.name] * was_killed
        after = checkpoint_paths(run)
        assert before <= after[-1:], "the newest checkpoint is lost"
        for path in after:
            read_checkpoint(path)
        check_log(run)
        if was_killed and len(signals) % CHAIN == 0:
            resume = ["--resume"] if (run / "config.yaml").exists() else []
            finish(folder, [*words, "killed", *resume])
            was_killed = False
        if not was_killed:
            assert digests(run) == digests(folder / "whole"), (seconds, number)
            check_log(run)
            assert not list(run.rglob(".temporary-*"))
            shutil.rmtree(run)
        report("train", signals)
        if len(signals) == NUM_KILLS:
            break


def check_log(run: Path) -> None:
    """Every line is whole."""
    path = run / "log.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        assert "event" in json.loads(line)


def test_export(folder: Path) -> None:
    """There is the whole file or none, and the next export leaves nothing beside its own."""
    if not (folder / "whole").exists():
        finish(folder, ["train", "tiny.yaml", "--run", "whole"])
    words = ["export", "whole", "--output", "exported/model.onnx"]
    output, signals = folder / "exported", list[str]()
    total = finish(folder, words)
    expected = contents(output)
    shutil.rmtree(output)
    for seconds, number in moments(total, SEED):
        if kill(start(folder, words), seconds, number):
            signals.append(number.name)
        present = contents(output) if output.exists() else {}
        assert present.get("model.onnx") in (None, expected["model.onnx"]), (seconds, number)
        if len(signals) % CHAIN == 0 and signals:
            finish(folder, words)
            assert contents(output) == expected, (seconds, number)
            shutil.rmtree(output)
        report("export", signals)
        if len(signals) == NUM_KILLS:
            break
