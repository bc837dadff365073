"""Where a report comes from: version, date, digests of model and records."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple, Optional

from mobilenet import __version__, files
from mobilenet.data.record_folder import manifest_of
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.runs.described_weights import parameters_at


class Provenance(NamedTuple):
    """Where the figures of a report come from."""

    version: str
    """Of this package."""
    date: str
    """When the report was made, in UTC (ISO 8601)."""
    model_sha256: str
    """SHA-256 of the parameter file; for a run, of its best checkpoint's."""
    data_sha256: Optional[str]
    """SHA-256 of the record file; None for a folder of images."""


def provenance(model: LoadedModel, data: Path) -> Provenance:
    """The provenance of a report on `model`, validated on the record file or folder `data`."""
    return Provenance(
        __version__,
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        files.sha256_of(parameters_at(model.file)),
        None if data.is_dir() else _records_sha256(data),
    )


def _records_sha256(path: Path) -> str:
    """From the manifest: hashing 6 GB would take longer than everything else."""
    manifest = manifest_of(path.parent)
    if manifest is not None:
        for split in manifest.splits.values():
            if split.record_file == path.name and split.bytes == path.stat().st_size:
                return split.sha256
    return files.sha256_of(path)
