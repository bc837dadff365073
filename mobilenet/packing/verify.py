"""Checks record files, their indexes, manifest and classes against each other."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from mobilenet import files
from mobilenet.data.record_file import INDEX_REMEDY, write_index
from mobilenet.data.record_folder import MANIFEST, SYNSET
from mobilenet.data.synset import read_synset
from mobilenet.errors import DataError, reason
from mobilenet.packing import ilsvrc2012, record_checks
from mobilenet.packing.record_checks import Walk


class Finding(NamedTuple):
    """A sentence about a file, and whether it is a fault."""

    file: str
    text: str
    is_fault: bool


@dataclass(frozen=True)
class VerifyReport:
    """All findings of a verification."""

    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether no finding is a fault."""
        return not any(finding.is_fault for finding in self.findings)

    @property
    def lines(self) -> list[str]:
        """The findings for people to read."""
        return [
            f"{finding.file}: {'FAULT: ' if finding.is_fault else ''}{finding.text}"
            for finding in self.findings
        ]


class _Manifest(NamedTuple):
    """What a manifest says, as far as it does.

    Attributes:
        splits: Its entries for each record file, by the name of the file.
        num_classes: Of all splits together.
    """

    splits: dict[str, dict[str, Any]]
    num_classes: Optional[int]
    synset_sha256: Optional[str]


def verify(path: Path, deep: bool = False, fix: bool = False) -> VerifyReport:
    """Checks a record file, or all in a folder, against its index, manifest and classes.

    `manifest.json` and `synset.txt` (one class per line, in label order) are used if they are
    beside the records. Files of other programs can be checked, too.

    Args:
        path: A record file or a folder of them.
        deep: Also decode every image (otherwise only headers are read), and compare the SHA-256.
        fix: Rewrite an index that is missing or wrong, unless the records are damaged.

    Raises:
        DataError: There is no record file at `path`, or a new index cannot be written.
    """
    paths = sorted(path.glob("*.rec")) if path.is_dir() else [path]
    if not any(record_path.is_file() for record_path in paths):
        raise DataError(f"{path}: no record file is there; `mobilenet prepare` makes them")
    folder = path if path.is_dir() else path.parent
    manifest, classes, findings = _read_beside(folder)
    if classes and manifest.synset_sha256 not in (None, files.sha256_of(folder / SYNSET)):
        findings.append(Finding(SYNSET, "is not the one that the records were labelled by", True))
    if path.is_dir():
        absent = sorted(manifest.splits.keys() - {record_path.name for record_path in paths})
        findings += [Finding(name, "is missing; the manifest has it", True) for name in absent]
    for record_path in paths:
        findings += _verify_file(record_path, manifest, classes, deep, fix)
    return VerifyReport(tuple(findings))


def _read_beside(folder: Path) -> tuple[_Manifest, tuple[str, ...], list[Finding]]:
    """Manifest and classes, and findings about those that cannot be read."""
    findings: list[Finding] = []
    classes: tuple[str, ...] = ()
    manifest = _Manifest({}, None, None)
    try:
        manifest = _read_manifest(folder / MANIFEST)
    except DataError as error:
        findings.append(_fault(folder / MANIFEST, error))
    try:
        classes = read_synset(folder)
    except DataError as error:
        findings.append(_fault(folder / SYNSET, error))
    return manifest, classes, findings


def _fault(path: Path, error: DataError) -> Finding:
    return Finding(path.name, str(error).removeprefix(f"{path}: "), True)


def _verify_file(
    path: Path, manifest: _Manifest, classes: tuple[str, ...], deep: bool, fix: bool
) -> list[Finding]:
    try:
        found = record_checks.walk(path)
    except DataError as error:
        return [_fault(path, error)]
    split = manifest.splits.get(path.name, {})
    notes = [_summary(found), *_ilsvrc2012_notes(found, split.get("name", path.stem), classes)]
    faults = record_checks.damage_faults(path.with_suffix(".idx"), found)
    faults += _header_faults(found, split, len(classes) or manifest.num_classes)
    if deep:
        undecodable, complaints = record_checks.image_faults(found)
        faults, notes = faults + undecodable, notes + complaints
        if split.get("sha256") not in (None, files.sha256_of(path)):
            faults.append("the SHA-256 is not the manifest's: the content has changed")
    else:
        faults += record_checks.empty_faults(found)
    return [
        *(Finding(path.name, text, False) for text in notes),
        *_verify_index(path.with_suffix(".idx"), found, fix, is_ours=bool(split)),
        *(Finding(path.name, text, True) for text in faults),
    ]


def _verify_index(path: Path, found: Walk, fix: bool, is_ours: bool) -> list[Finding]:
    faults = record_checks.index_faults(path, found, keys_are_ids=is_ours)
    notes = []
    if faults and fix and found.damage:
        notes = ["left as it is, because the records are damaged"]
    elif faults and fix:
        _rebuild_index(path, found)
        notes = [f"written anew, because {fault.removesuffix(INDEX_REMEDY)}" for fault in faults]
        faults = record_checks.index_faults(path, found, keys_are_ids=is_ours)
    return [
        *(Finding(path.name, note, False) for note in notes),
        *(Finding(path.name, fault, True) for fault in faults),
    ]


def _rebuild_index(path: Path, found: Walk) -> None:
    try:
        write_index(path, record_checks.index_keys(found), found.offsets.tolist())
    except OSError as error:
        raise DataError(f"{path}: cannot write the index: {reason(error)}") from None


def _header_faults(found: Walk, split: dict[str, Any], num_classes: Optional[int]) -> list[str]:
    """What headers and size of the record file say against its manifest and the classes."""
    labels, counts = np.unique(found.labels, return_counts=True)
    facts: dict[str, int] = {
        "num_records": len(found),
        "bytes": found.path.stat().st_size,
        "num_classes": len(labels),
        "max_per_class": int(counts.max(initial=0)),
    }
    faults = []
    if num_classes is not None:
        faults = record_checks.label_faults(found, num_classes)
        has_all = len(labels) >= num_classes
        facts["min_per_class"] = int(counts.min(initial=len(found))) if has_all else 0
    return faults + [
        f"{name} is {fact}, but {split[name]} in the manifest"
        for name, fact in facts.items()
        if split.get(name, fact) != fact
    ]


def _summary(found: Walk) -> str:
    num_labels = len(np.unique(found.labels))
    return f"{len(found):,} records with {num_labels:,} labels, {found.path.stat().st_size:,} bytes"


def _ilsvrc2012_notes(found: Walk, split: str, classes: tuple[str, ...]) -> list[str]:
    """How many images of ILSVRC2012 the file has, if its classes are ILSVRC2012's."""
    total = ilsvrc2012.NUM_IMAGES.get(split)
    are_wnids = all(re.match(r"n\d{8}\b", line) for line in classes)
    if not (total and are_wnids and len(classes) == ilsvrc2012.NUM_CLASSES):
        return []
    share = "all" if len(found) == total else f"{len(found):,} of the"
    return [f"{share} {total:,} {split} images of ILSVRC2012"]


def _read_manifest(path: Path) -> _Manifest:
    """Demands less than the manifest that `prepare` writes has: files of others may have one."""
    try:
        content = json.loads(path.read_bytes())
        splits = {
            str(split["record_file"]): {**split, "name": str(name)}
            for name, split in content["splits"].items()
        }
        num_classes = content.get("num_classes")
        num_classes = None if num_classes is None else int(num_classes)
        return _Manifest(splits, num_classes, content.get("synset_sha256"))
    except FileNotFoundError:
        return _Manifest({}, None, None)
    except (
        OSError,
        ValueError,
        RecursionError,
        ArithmeticError,
        LookupError,
        TypeError,
        AttributeError,
    ):
        raise DataError(f"{path}: is no manifest as `mobilenet prepare` writes it") from None
