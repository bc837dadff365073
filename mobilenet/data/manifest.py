"""`manifest.json`: from which source and with which options record files were made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mobilenet.errors import DataError
from mobilenet.json_fields import check_fields

_VERSION = 1
_MAX_EXAMPLES = 3
_MALFORMED = (TypeError, LookupError, AttributeError)  # exceptions for JSON of another form


@dataclass(frozen=True)
class Split:
    """A record file.

    Attributes:
        num_classes: Number of classes with a record in it.
        min_per_class: Number of records of the rarest class; may be 0.
        max_per_class: Number of records of the most frequent class.
        bytes: Size of the record file.
        sha256: Of the record file, 64 hexadecimal digits.
    """

    record_file: str
    index_file: str
    num_records: int
    num_classes: int
    min_per_class: int
    max_per_class: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`.

    Attributes:
        source: Layout, paths and fingerprint of the source.
        options: Everything else that affects the content of the record files.
        splits: The record files by split.
        classes: Where the order of the classes comes from.
        num_classes: Number of lines of `synset.txt`.
        oddities: Number of images of each unusual kind; `oddities.tsv` lists them.
        skipped: Split, name and problem of each image that was left out.
        ignored: Files of the source that are no images, or in no split.
        warnings: How a source that should be all of ILSVRC2012 differs from it.
        exif_orientation: `ignore` if EXIF orientations were set to upright, `apply` if they are
            still in the images.
    """

    package_version: str
    source: dict[str, Any]
    options: dict[str, Any]
    splits: dict[str, Split]
    classes: str
    num_classes: int
    synset_sha256: str
    oddities: dict[str, int]
    skipped: list[dict[str, str]]
    ignored: list[str]
    warnings: list[str] = field(default_factory=list)
    exif_orientation: str = "ignore"

    def to_json(self) -> str:
        """The content of the file."""
        content = {"version": _VERSION, **asdict(self)}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Reads a manifest.

        Raises:
            DataError: It is unreadable or not of this version.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("version") != _VERSION:
                raise DataError(f"{path}: is of another version of this package")
            content["splits"] = {name: Split(**it) for name, it in content["splits"].items()}
            manifest = cls(**content)
            for item in (*manifest.splits.values(), manifest):
                check_fields(item)
            return manifest
        except DataError:
            raise
        except (OSError, ValueError, RecursionError, *_MALFORMED) as error:
            raise DataError(f"{path}: is not a manifest that prepare wrote ({error})") from None

    def summary(self) -> str:
        """The splits, and what is unusual in them, as text."""
        lines = [
            f"{name}: {split.num_records:,} images of {split.num_classes:,} classes "
            f"({split.min_per_class:,} to {split.max_per_class:,} each), "
            f"{split.bytes / 1e6:,.1f} MB in {split.record_file}"
            for name, split in self.splits.items()
        ]
        lines.append(f"labels: 0 to {self.num_classes - 1}, from {self.classes}")
        if self.oddities:
            counts = (f"{kind} {number:,}" for kind, number in self.oddities.items())
            lines.append(f"unusual: {', '.join(counts)}")
        if "train" in self.splits and len(self.splits) == 1:
            lines.append("validation: no images, which `mobilenet train` needs")
        left_out = {
            "images that do not decode": [f"{it['split']}/{it['image']}" for it in self.skipped],
            "files or folders that are no images of a class": self.ignored,
        }
        lines += [
            f"left out: {len(names):,} {kind}, such as {', '.join(names[:_MAX_EXAMPLES])}"
            for kind, names in left_out.items()
            if names
        ]
        return "\n".join(lines)
