"""Checks whether a run may be started or resumed in a folder, and with which settings."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Iterator, Mapping

from mobilenet import __version__, files, settings
from mobilenet.data.class_folder_labels import class_id
from mobilenet.data.record_folder import SYNSET
from mobilenet.data.synset import read_synset
from mobilenet.errors import ConfigError, DataError, UserError, VerificationError
from mobilenet.settings.schema import Config

CONFIG = "config.yaml"
LOG = "log.jsonl"
CURVES = "curves.png"
REPORT = "report.md"
TENSORBOARD = "tensorboard"
_LOCK = ".lock"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Settings that may change when a run is resumed. These do not alter the results.
_FREE = (
    "checkpoint.",
    "log.",
    "data.directory",  # the records are compared by their digests
    "data.num_workers",
    "distillation.teacher",  # compared by its digest
    "data.max_bad_records",
    "validation.batch_size",
    "training.patience",
    "training.rollbacks",
)
# These alter how a batch is divided, and so BatchNorm's statistics. The run continues, but its
# results are no longer the same bit for bit.
_FREE_WITH_EFFECT = ("training.devices", "training.accumulation", "distributed.")
# More epochs do not alter the finished steps, except with these schedules, whose learning rates
# depend on the length of the run from the beginning, and with a resolution that grows.
_ENDS_WITH_RUN = ("cosine", "polynomial")


def run_of(path: Path) -> Path | None:
    """The run that `path` is, or is a checkpoint of: the folder with the configuration, or None."""
    folders = (path, *path.absolute().parents)[:3]  # checkpoints are two folders below their run
    return next((folder for folder in folders if (folder / CONFIG).is_file()), None)


def check(run: Path, resume: bool) -> None:
    """Checks that a run may be started or, with `resume`, continued in the folder `run`.

    Raises:
        UserError: The folder exists and is not empty or, with `resume`, contains no run.
    """
    if resume and not (run / CONFIG).is_file():
        raise UserError(f"{run}: no run to resume (no {CONFIG}); start it without --resume")
    if not resume and run.exists() and not (run.is_dir() and _is_empty(run)):
        raise UserError(
            f"{run}: exists already; continue the run with --resume or choose another folder"
            " with --run"
        )


def _is_empty(folder: Path) -> bool:
    """Whether there are at most files of a process that was killed before it began the run."""
    return all(path.name.startswith(".") for path in folder.iterdir())


@contextlib.contextmanager
def claimed(run: Path) -> Iterator[None]:
    """Locks the folder for this process, and creates it if it is missing.

    The lock ends with the process, however that ends.

    Raises:
        UserError: Another process has locked it.
    """
    run.mkdir(parents=True, exist_ok=True)
    with (run / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{run}: another process is training in this folder") from error
        yield


@contextlib.contextmanager
def full_disk_explained(run: Path) -> Iterator[None]:
    """Explains the error of a write on a full disk.

    Raises:
        VerificationError: The disk is full, or a quota is reached.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise VerificationError(
            f"{run}: cannot be written to ({error.strerror}); the checkpoints that it has are"
            " intact: make room and continue with --resume"
        ) from error


def describe(run: Path, config: Config) -> None:
    """Writes the configuration and the class names into the folder of the run."""
    files.write_text(run / CONFIG, settings.dump(config))
    synset = Path(config.data.directory) / SYNSET
    if synset.is_file():
        files.write_bytes(run / SYNSET, synset.read_bytes())


def versions() -> dict[str, str]:
    """Versions of this package, Python, MXNet and NumPy."""
    others = {name: metadata.version(name) for name in (_mxnet_distribution(), "numpy")}
    return {"mobilenet": __version__, "python": platform.python_version(), **others}


def machine() -> str:
    """Number and model of the processors."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def _mxnet_distribution() -> str:
    """The name of the installed distribution of MXNet; for GPUs it is mxnet-cu112 or the like."""
    names = (distribution.metadata["Name"] or "" for distribution in metadata.distributions())
    return next((name for name in names if name.startswith("mxnet-cu")), "mxnet")


def check_changes(began: Config, given: Config, run: Path) -> list[str]:
    """Compares the settings that a run began with to those for resuming it.

    Returns:
        The changed settings that affect the result, each with both values.

    Raises:
        ConfigError: A setting has changed that may not change.
    """
    before, after = flat(began), flat(given)
    changed = [name for name in before if before[name] != after[name]]
    epochs, growing = ("training.epochs",), bool(given.training.resolution_steps)
    is_bound = growing or given.schedule.name in _ENDS_WITH_RUN
    free = _FREE if is_bound else _FREE + epochs
    with_effect = _FREE_WITH_EFFECT + epochs if is_bound else _FREE_WITH_EFFECT
    for name in changed:
        if not name.startswith((*free, *with_effect)):
            raise ConfigError(
                f"{run}: the run began with {name} = {before[name]} and cannot continue with"
                f" {after[name]}: give the old value, or start another run"
            )
    noticed = {name: before[name] for name in changed if name.startswith(with_effect)}
    return differences(noticed, after)


def differences(began: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The values that differ, as `name: old -> new`; `given` has all names of `began`."""
    return [f"{name}: {old} -> {given[name]}" for name, old in began.items() if old != given[name]]


def flat(config: Config) -> dict[str, Any]:
    """Every setting by its dotted name."""
    return {
        f"{section.name}.{field.name}": getattr(getattr(config, section.name), field.name)
        for section in dataclasses.fields(config)
        for field in dataclasses.fields(getattr(config, section.name))
    }


def check_data(
    began: Mapping[str, Mapping[str, str]], given: Mapping[str, Mapping[str, str]], folder: Path
) -> None:
    """Compares the record files that a run began with to the present ones, by their digests.

    Each split has several digests, by kind; only kinds that both have are compared. A file that
    was damaged when the run began may be given back: the one that the manifest described then.

    Args:
        began: By split, digests as `data.record_folder.record_digests` gives them.
        given: The same, of the record files as they are now.
        folder: Has them.

    Raises:
        DataError: A record file has changed, is missing, or is new.
    """
    for split in sorted({*began, *given}):
        before, now = began.get(split), given.get(split)
        if before is None:
            problem = "was not there when the run began"
        elif now is None:
            problem = "is no longer there"
        elif _is_the_file(folder / f"{split}.rec", before, now):
            continue
        else:
            problem = "is not the file that the run began with"
        raise DataError(
            f"data.directory: {split}.rec {problem}; give back the old records, or start another"
            " run"
        )


def _is_the_file(path: Path, before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    changed = {kind for kind in {*before} & {*now} if before[kind] != now[kind]}
    if changed != {"records"}:
        return not changed
    return before.get("content") == files.sha256_of(path)  # takes minutes, but here alone


def check_teacher(began: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Compares the teacher that a run began with to the present one, by SHA-256 and input.

    Raises:
        ConfigError: It is another one, is no longer given, or is new.
    """
    if began == given:
        return
    if began and given:
        problem = "this is not the teacher that the run began with; give back the old one"
    else:
        problem = f"the run began {'with a' if began else 'without a'} teacher; keep to that"
    raise ConfigError(f"distillation.teacher: {problem}, or start another run")


def check_classes(run: Path, data: Path) -> None:
    """Compares the class names of a run to those of the records in the folder `data`.

    Raises:
        DataError: The classes or their order differ.
    """
    began, given = read_synset(run), read_synset(data)
    if began and given and list(map(class_id, began)) != list(map(class_id, given)):
        raise DataError(
            f"{data / SYNSET}: names other classes than {run / SYNSET}, with which the run began;"
            " give back the old file, or start another run"
        )
