"""Runs that are killed, stopped or out of room end as if nothing had happened."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest
from tiny_run import (
    NUM_EPOCHS,
    STEPS_PER_EPOCH,
    digests,
    events,
    last_step,
    start,
    train,
    write_records,
)

from mobilenet.runs.checkpoint import checkpoint_paths
from mobilenet.runs.checkpoint_folder import read_checkpoint

NUM_STEPS = NUM_EPOCHS * STEPS_PER_EPOCH
STEP_SECONDS = 0.3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records, and the run `whole` that nobody interrupted."""
    made = tmp_path_factory.mktemp("runs")
    write_records(made / "records")
    done = train(made, "whole")
    assert done.returncode == 0, done.stderr
    return made


def kill_when(
    child: subprocess.Popen[str], is_time: Callable[[], bool], delay_seconds: float = 0
) -> bool:
    """Kills the process so long after it is time; whether it was still running."""
    while child.poll() is None and not is_time():
        time.sleep(0.001)
    time.sleep(delay_seconds)
    child.kill()
    child.communicate()
    return child.returncode == -signal.SIGKILL


def finish(folder: Path, run: str) -> None:
    """Resumes until the end, which has to be that of the whole run."""
    resume = ["--resume"] if (folder / run / "config.yaml").exists() else []
    done = train(folder, run, *resume)
    assert done.returncode == 0, done.stderr
    assert digests(folder / run) == digests(folder / "whole")


def resumed(folder: Path, run: str) -> subprocess.Popen[str]:
    arguments = ["--resume"] if (folder / run / "config.yaml").exists() else []
    return start(folder, run, *arguments)


def kill_at_random(folder: Path, run: str, num_kills: int, seed: int) -> None:
    """Kills a run again and again, a random part of a step after it has reached a random step.

    What it does then is to compute, to read, to log or to save.
    """
    generator = random.Random(seed)
    for _ in range(num_kills):
        after = last_step(folder / run) + generator.randrange(3)
        child = resumed(folder, run)
        delay_seconds = generator.uniform(0, STEP_SECONDS)
        kill_when(child, lambda after=after: last_step(folder / run) > after, delay_seconds)
        if last_step(folder / run) >= NUM_STEPS:
            shutil.rmtree(folder / run)  # it was too quick: begin again


def test_killed_at_random_moments(folder: Path) -> None:
    kill_at_random(folder, "killed", num_kills=3, seed=0)
    finish(folder, "killed")


@pytest.mark.slow
def test_killed_thirty_times(folder: Path) -> None:
    kill_at_random(folder, "killed30", num_kills=30, seed=1)
    finish(folder, "killed30")


def test_killed_with_two_threads(folder: Path) -> None:
    """Who adds what is as fixed as with one thread."""
    short = "training.epochs=1"
    child = start(folder, "killed2", short, num_threads=2)
    assert kill_when(child, lambda: last_step(folder / "killed2") > 3)
    for run, resume in (("killed2", ["--resume"]), ("whole2", [])):
        done = train(folder, run, short, *resume, num_threads=2)
        assert done.returncode == 0, done.stderr
    assert digests(folder / "killed2") == digests(folder / "whole2")


def test_another_number_of_threads_is_told(folder: Path) -> None:
    run = folder / "threads"
    shutil.copytree(folder / "whole", run)
    done = train(folder, "threads", "--resume", num_threads=2)
    assert done.returncode == 0, done.stderr
    (warning,) = (line for line in done.stderr.splitlines() if line.startswith("warning"))
    assert warning == (
        "warning: no longer bit for bit equal to an unchanged run: OMP_NUM_THREADS: 1 -> 2"
    )


def test_killed_while_it_saves(folder: Path) -> None:
    run = folder / "saving"

    def is_saving() -> bool:
        return any((run / "checkpoints").glob(".temporary-*"))

    num_unfinished = 0
    for _ in range(2):
        kill_when(resumed(folder, "saving"), is_saving)
        num_unfinished += is_saving()
        for path in checkpoint_paths(run):
            read_checkpoint(path)  # whatever has the final name is complete
    assert num_unfinished, "no kill came during a save"
    finish(folder, "saving")
    assert not is_saving()


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_by_signal(folder: Path, number: signal.Signals, exit_code: int) -> None:
    run = f"stopped-{exit_code}"
    child = start(folder, run)
    while child.poll() is None and last_step(folder / run) < 4:
        time.sleep(0.001)
    child.send_signal(number)
    _, errors = child.communicate()
    assert child.returncode == exit_code, errors
    last_line = errors.splitlines()[-1]
    (newest,) = checkpoint_paths(folder / run)[-1:]
    assert last_line == (
        f"mobilenet train: stopped by {number.name}, saved {run}/checkpoints/{newest.name};"
        " continue with --resume"
    )
    assert read_checkpoint(newest).state.progress.step == last_step(folder / run) < NUM_STEPS
    assert events(folder / run)[-1]["event"] == "stop"
    finish(folder, run)


def test_in_the_background_ctrl_c_is_ignored_and_sigterm_heeded(folder: Path) -> None:
    """As a shell without job control starts it, or nohup: for others on the terminal."""

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    child = start(folder, "background", preexec_fn=ignore)
    for number, step in ((signal.SIGINT, 2), (signal.SIGTERM, 4)):
        while child.poll() is None and last_step(folder / "background") < step:
            time.sleep(0.001)
        child.send_signal(number)
    _, errors = child.communicate()
    assert child.returncode == 143, errors
    assert "stopped by SIGTERM" in errors


def test_a_damaged_newest_checkpoint_costs_only_time(folder: Path) -> None:
    run = folder / "damaged"
    shutil.copytree(folder / "whole", run)
    newest = checkpoint_paths(run)[-1]
    content = bytearray((newest / "parameters.params").read_bytes())
    content[1000] ^= 1
    (newest / "parameters.params").write_bytes(content)
    done = train(folder, "damaged", "--resume")
    assert done.returncode == 0, done.stderr
    assert "warning: damaged/checkpoints/" in done.stderr
    assert "parameters.params is not as it was written; taking the one before it" in done.stderr
    assert digests(run) == digests(folder / "whole")


def test_a_second_process_is_refused(folder: Path) -> None:
    child = start(folder, "claimed")
    while child.poll() is None and last_step(folder / "claimed") < 1:
        time.sleep(0.001)
    child.send_signal(signal.SIGSTOP)  # the run is short: it must not end before the second begins
    second = train(folder, "claimed", "--resume")
    child.kill()
    child.communicate()
    assert second.returncode == 2
    assert second.stderr.splitlines() == [
        "mobilenet train: claimed: another process is training in this folder"
    ]


def test_a_full_disk_stops_the_run_and_spoils_nothing(folder: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    run = folder / "full"
    done = train(folder, "full", "training.epochs=1", "schedule.name=constant")
    assert done.returncode == 0, done.stderr
    before = digests(run)
    longer = ("training.epochs=2", "schedule.name=constant", "--resume")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = train(folder, "full", *longer, preexec_fn=limit)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == (
        "mobilenet train: full: cannot be written to (File too large); the checkpoints that it has"
        " are intact: make room and continue with --resume"
    )
    assert digests(run) == before
    done = train(folder, "full", *longer)
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(checkpoint_paths(run)[-1]).state.progress.step == 2 * STEPS_PER_EPOCH
