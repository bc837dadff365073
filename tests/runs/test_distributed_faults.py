"""A process that dies ends all, with its name, and leaves a run that goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from several import (
    ENGINES,
    TRAIN,
    descendants,
    is_alive,
    kill,
    launcher,
    members,
    run,
    start,
    variables,
    wait_until,
)
from tiny_run import NUM_EPOCHS, STEPS_PER_EPOCH, last_step, train, write_records

from mobilenet import files
from mobilenet.data.manifest import Manifest, Split
from mobilenet.data.record_file import RecordFile
from mobilenet.runs.checkpoint import checkpoint_paths
from mobilenet.runs.checkpoint_folder import read_checkpoint

NUM_STEPS = NUM_EPOCHS * STEPS_PER_EPOCH
LIMIT_SECONDS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("faults")
    write_records(made / "records")
    return made


def training(engine: str, num_workers: int, run: str, *arguments: str) -> list[str | Path]:
    command = [*launcher(engine, num_workers), TRAIN, "tiny.yaml", "--run", run]
    return [*command, f"distributed.engine={engine}", *arguments]


def unfinished(run: Path) -> set[Path]:
    return set((run / "checkpoints").glob(".temporary-*"))


def kill_one(folder: Path, run: str, victim: str, is_time: Callable[[], Any]) -> None:
    """Starts or resumes a run of two, kills one of its processes, and sees all of them end."""
    resume = ["--resume"] if (folder / run / "config.yaml").exists() else []
    child = start(folder, training("kvstore", 2, run, *resume))
    wait_until(child, is_time)
    found = members(child)
    assert sorted(found) == ["scheduler 0", "server 0", "worker 0", "worker 1"]
    kill(found[victim])
    killed = time.monotonic()
    _, errors = child.communicate()
    assert time.monotonic() - killed < LIMIT_SECONDS
    assert child.returncode == 128 + signal.SIGKILL, errors
    name = victim.removesuffix(" 0") if victim == "scheduler 0" else victim
    sentence = (
        f"{name} was ended by SIGKILL; the others are stopped; continue the run with --resume"
    )
    assert f"mobilenet launch: {sentence}\n" in errors
    assert not any(map(is_alive, found.values()))
    for path in checkpoint_paths(folder / run):
        read_checkpoint(path)  # whatever has the final name is complete


def finish(folder: Path, run: str) -> None:
    """A single process goes on to the end."""
    done = train(folder, run, "--resume")
    assert done.returncode == 0, done.stderr
    assert last_step(folder / run) == NUM_STEPS
    assert not unfinished(folder / run)


def test_a_killed_worker_ends_all_and_others_go_on(folder: Path) -> None:
    kill_one(folder, "killed", "worker 1", lambda: last_step(folder / "killed") >= 4)
    assert 3 <= read_checkpoint(checkpoint_paths(folder / "killed")[-1]).state.progress.step < 14
    finish(folder, "killed")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_an_unreadable_image_ends_all_and_the_run_is_saved(engine: str, tmp_path: Path) -> None:
    write_records(tmp_path / "records")
    path = tmp_path / "records" / "val.rec"
    content, image = path.read_bytes(), bytes(RecordFile(path).image(5))  # of the second rank
    whole = Split("val.rec", "val.idx", 20, 10, 2, 2, len(content), files.sha256_of(path))
    made = Manifest("", {}, {}, {"val": whole}, "", 1, "", {}, [], [])
    path.with_name("manifest.json").write_text(made.to_json())
    path.write_bytes(content.replace(image, bytes(len(image))))
    ended = run(tmp_path, training(engine, 2, "run"))
    assert ended.returncode != 0
    assert "record 5: " in ended.stderr
    (newest,) = checkpoint_paths(tmp_path / "run")[-1:]
    assert read_checkpoint(newest).state.progress.step == STEPS_PER_EPOCH
    assert f"saved {Path('run', *newest.parts[-2:])}; continue with --resume" in ended.stderr
    path.write_bytes(content)
    finish(tmp_path, "run")


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker 1", "server 0", "scheduler 0"])
def test_killed_ten_times(folder: Path, victim: str) -> None:
    generator, path = random.Random(victim), folder / victim.replace(" ", "-")
    for _ in range(10):
        after = last_step(path) + generator.randrange(3)
        if after >= NUM_STEPS - 2:
            finish(folder, path.name)
            path.rename(f"{path}-{len(list(folder.iterdir()))}")
            after = 1
        kill_one(folder, path.name, victim, lambda after=after: last_step(path) > after)
    finish(folder, path.name)


@pytest.mark.slow
def test_the_first_rank_is_killed_ten_times_while_it_saves(folder: Path) -> None:
    path, num_kills_in_a_save = folder / "saving", 0
    for attempt in range(40):  # some come when the save is just done
        before = unfinished(path)
        kill_one(folder, path.name, "worker 0", lambda before=before: unfinished(path) - before)
        num_kills_in_a_save += bool(unfinished(path) - before)
        if num_kills_in_a_save == 10:
            break
        if last_step(path) >= NUM_STEPS - 2:
            finish(folder, path.name)
            path.rename(f"{path}-{attempt}")
    assert num_kills_in_a_save == 10
    finish(folder, path.name)


FAULT = """
import os, sys, mobilenet.training.training_run, mobilenet.training.learner
from mobilenet.errors import DataError
def fail(*_): raise {error}
if os.environ["DMLC_TASK_ID"] == "{rank}":
    mobilenet.training.{work} = fail
sys.argv[0] = {train!r}
from mobilenet.cli import main
sys.exit(main(["train", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    ("rank", "work", "error", "exit_code", "said"),
    [
        (1, "learner.Learner.step", "RuntimeError('no memory')", 1, "RuntimeError: no memory"),
        (1, "learner.Learner.step", "DataError('no class')", 2, "mobilenet train: no class"),
        # When the other one is done.
        (0, "training_run.run_report", "RuntimeError('no room')", 1, "RuntimeError: no room"),
    ],
)
def test_an_error_of_one_worker_ends_all(
    folder: Path, tmp_path: Path, rank: int, work: str, error: str, exit_code: int, said: str
) -> None:
    """MXNet makes a worker that ends wait for the others, which wait for its gradients."""
    script = FAULT.format(train=str(TRAIN), rank=rank, work=work, error=error)
    (folder / "fault.py").write_text(script)
    command = [*launcher("kvstore", 2), "fault.py", "tiny.yaml"]
    child = start(folder, [*command, f"--run={tmp_path / 'run'}", "distributed.engine=kvstore"])
    try:
        _, errors = child.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        for process in members(child).values():
            kill(process)
        raise
    assert child.returncode == exit_code, errors
    assert f"[worker {rank}] {said}\n" in errors
    ending = f"worker {rank} ended with exit code {exit_code}; the others are stopped"
    assert f"mobilenet launch: {ending}\n" in errors


def test_the_last_words_of_a_script_are_heard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys; sys.exit('no such thing')")
    done = run(tmp_path, [*launcher("kvstore", 1), "script.py"])
    assert done.returncode == 1
    assert "[worker 0] no such thing\n" in done.stderr


def leaves_nobody(child: Any) -> bool:
    """Whether nothing is left of a run ten seconds after its launcher was killed."""
    found = members(child)
    child.kill()
    child.communicate()
    deadline = time.monotonic() + 10
    while any(map(is_alive, found.values())) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [process for process in found.values() if is_alive(process)]
    for process in left:
        kill(process)
    return not left


@pytest.mark.slow
def test_a_launcher_that_is_killed_leaves_nobody(folder: Path) -> None:
    child = start(folder, training("kvstore", 2, "orphans"))
    wait_until(child, lambda: last_step(folder / "orphans") >= 2)
    assert leaves_nobody(child)


@pytest.mark.slow
def test_a_worker_that_is_done_still_heeds_the_launcher(folder: Path, tmp_path: Path) -> None:
    """The first one is kept in the report; the other waits for it before it ends."""
    sleep = FAULT.replace("raise {error}", "open('done', 'w'); __import__('time').sleep(600)")
    script = sleep.format(train=str(TRAIN), rank=0, work="training_run.run_report")
    (folder / "fault.py").write_text(script)
    command = [*launcher("kvstore", 2), "fault.py", "tiny.yaml"]
    child = start(folder, [*command, f"--run={tmp_path / 'run'}", "distributed.engine=kvstore"])
    wait_until(child, (folder / "done").exists)
    time.sleep(2)  # for the other one to end
    assert leaves_nobody(child)


@pytest.mark.slow
def test_a_stopped_run_is_saved_and_resumed_by_others(folder: Path) -> None:
    run_path = folder / "stopped"
    child = start(folder, training("kvstore", 2, "stopped"))
    wait_until(child, lambda: last_step(run_path) >= 2)
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate()
    assert child.returncode == 128 + signal.SIGTERM, errors
    (newest,) = checkpoint_paths(run_path)[-1:]
    assert f"[worker 0] mobilenet train: stopped by SIGTERM, saved stopped/checkpoints/{newest.name}" in errors  # fmt: skip  # noqa: E501
    assert "mobilenet launch: stopped by SIGTERM; continue the run with --resume\n" in errors
    step = read_checkpoint(newest).state.progress.step
    assert step == last_step(run_path)
    for num_workers in (1, 4):  # each a few steps further
        wait_for = last_step(run_path) + 2
        child = start(folder, training("kvstore", num_workers, "stopped", "--resume"))
        wait_until(child, lambda wait_for=wait_for: last_step(run_path) >= wait_for)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate()
        assert child.returncode == 128 + signal.SIGINT, errors
        assert "mobilenet launch: stopped by SIGINT; continue the run with --resume\n" in errors
        assert f"from step {step} of {NUM_STEPS}" in errors
        step = read_checkpoint(checkpoint_paths(run_path)[-1]).state.progress.step
    done = train(folder, "stopped", "--resume")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_a_lost_rank_of_horovod_is_one_sentence(folder: Path, engine: str) -> None:
    path = folder / f"lost-{engine}"
    child = start(folder, training(engine, 2, path.name))
    wait_until(child, lambda: last_step(path) >= 4)
    ranks = [pid for pid in descendants(child.pid) if variables(pid).get("HOROVOD_RANK") == "1"]
    (python,) = (pid for pid in ranks if not descendants(pid))
    kill(python)
    killed = time.monotonic()
    _, errors = child.communicate()
    assert time.monotonic() - killed < LIMIT_SECONDS
    assert child.returncode != 0
    assert "Process name: 1\nExit code: 137" in errors  # Horovod's launcher names it
    sentence = "mobilenet train: rank 0 of 2: another rank has ended, or this one cannot go on ("
    assert sentence in errors
    assert "); continue the run with --resume" in errors
    assert not any(map(is_alive, ranks))
    finish(folder, path.name)


DIFFERENT = """
import os, sys
sys.argv[0] = {train!r}
if os.environ["DMLC_TASK_ID"] == "1":
    {change}
from mobilenet.cli import main
sys.exit(main(["train", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("sys.argv.append('optimizer.momentum=0.8')", "optimizer.momentum"),
        pytest.param("sys.argv[-1] = 'data.directory=others'", "train.rec", marks=pytest.mark.slow),
        pytest.param(
            "import mobilenet.runs.run_folder as f; f.__version__ = '0.0.9'",
            "mobilenet version",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_rank_that_differs_is_refused(folder: Path, change: str, what: str) -> None:
    (folder / "different.py").write_text(DIFFERENT.format(train=str(TRAIN), change=change))
    if "others" in change and not (folder / "others").exists():
        write_records(folder / "others")
        with (folder / "others" / "train.rec").open("ab") as file:
            file.write(b"\0" * 4)
    command = [*launcher("kvstore", 2), "different.py", "tiny.yaml", "--run", "refused"]
    done = run(folder, [*command, "distributed.engine=kvstore", "data.directory=records"])
    assert done.returncode == 2, done.stderr
    sentence = f"mobilenet train: rank 1 of 2 has another {what} than rank 0"
    assert sentence in done.stderr
    assert "ended with exit code 2; the others are stopped\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "refused").exists()
