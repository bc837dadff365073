"""Makes the content of `manifest.json` and `oddities.tsv` for written record files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Iterator

from mobilenet import __version__, files
from mobilenet.data.manifest import Manifest, Split
from mobilenet.data.record_folder import SYNSET
from mobilenet.packing.image_sources import Source
from mobilenet.packing.record_writing import Tally


def manifest(source: Source, tallies: dict[str, Tally], paths: dict[str, Path]) -> Manifest:
    """The manifest, without the options and paths by which the records were made."""
    num_classes = len(source.classes.lines)
    return Manifest(
        package_version=__version__,
        source={},
        options={},
        splits={
            split: _summary(split, tally, paths[f"{split}.rec"], num_classes)
            for split, tally in tallies.items()
        },
        classes=source.classes.origin,
        num_classes=num_classes,
        synset_sha256=files.sha256_of(paths[SYNSET]),
        oddities=_num_per_oddity(tallies),
        skipped=[
            {"split": split, "image": name, "problem": problem}
            for split, tally in tallies.items()
            for name, problem in tally.skipped
        ],
        ignored=source.ignored,
        warnings=source.odd_counts,
    )


def _summary(split: str, tally: Tally, record_path: Path, num_classes: int) -> Split:
    numbers = [tally.num_per_label[label] for label in range(num_classes)]
    return Split(
        record_file=f"{split}.rec",
        index_file=f"{split}.idx",
        num_records=sum(numbers),
        num_classes=sum(number > 0 for number in numbers),
        min_per_class=min(numbers),
        max_per_class=max(numbers),
        bytes=record_path.stat().st_size,
        sha256=files.sha256_of(record_path),
    )


def odd_lines(tallies: dict[str, Tally]) -> Iterator[str]:
    """The table of unusual images: split, key of the record, name of the image, oddities."""
    for split, tally in tallies.items():
        for key, name, oddities in tally.oddities:
            yield f"{split}\t{key}\t{name}\t{', '.join(oddities)}\n"


def _num_per_oddity(tallies: dict[str, Tally]) -> dict[str, int]:
    counts = Counter(
        oddity for tally in tallies.values() for _, _, those in tally.oddities for oddity in those
    )
    return dict(sorted(counts.items()))
