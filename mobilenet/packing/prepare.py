"""Packs a data set of images into record files."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generator, Iterable, Optional, Union

from mobilenet import files
from mobilenet.compat.environment import usable_processors
from mobilenet.data import record_folder
from mobilenet.data.image_decoding import ExifOrientation
from mobilenet.data.manifest import Manifest
from mobilenet.data.record_folder import MANIFEST, ODDITIES, SYNSET
from mobilenet.errors import ConfigError, DataError, reason
from mobilenet.packing import (
    dataset_layouts,
    ilsvrc2012,
    image_sources,
    record_writing,
    validation_part,
    written_summary,
)
from mobilenet.packing.image_order import Image, arranged
from mobilenet.packing.image_sources import Source
from mobilenet.packing.record_writing import Packed, RecordPaths, Tally
from mobilenet.packing.source_fingerprint import fingerprint
from mobilenet.packing.stored_image import Conversion
from mobilenet.progress_bar import say, watched

_SPLITS = ("train", "val")
_RECORD_OVERHEAD_BYTES = 64  # of a record and its line in the index, rounded up
_NUM_SAMPLES = 64

_Identity = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class PrepareOptions:
    """What to pack, and how.

    Attributes:
        source: A folder or tar of class folders with or without `train` and `val` around them, the
            original tars of ILSVRC2012 or their folder, Kaggle's folder, or lists of im2rec.
        output: Folder for the record files.
        synset: File with one class per line in label order; the first word is the class folder.
        split: Takes this split alone; of a source without splits, all images are in it.
        root: What the paths in lists are relative to, if not to the folder of the list.
        short_side: Larger images are made this small, in pixels; None keeps the images' bytes.
        quality: Of the JPEGs that are encoded anew, 1 to 100.
        val: Part of the training images of each class to set aside for validation, of a source
            without images for that; by default 0.2 of a plain tree of class folders, else 0.
        minival: Number of training images of each class to hold out.
        seed: Of the order of the training images and of the choice of those held out.
        skip_bad: Leaves out images that do not decode, instead of ending.
        workers: Number of threads; 0 is one per processor.
        exif_orientation: `ignore` packs photographs as their pixels are stored, `apply` lets
            readers turn them; by default the former of ImageNet's classes, the latter of others.
        checksum: Compares the tars of ILSVRC2012 with their published SHA-1 first.
    """

    source: Union[Path, tuple[Path, ...]]
    output: Path
    synset: Optional[Path] = None
    split: Optional[str] = None
    root: Optional[Path] = None
    short_side: Optional[int] = None
    quality: int = 95
    val: Optional[float] = None
    minival: int = 0
    seed: int = 0
    skip_bad: bool = False
    workers: int = 0
    exif_orientation: Optional[ExifOrientation] = None
    checksum: bool = False

    def __post_init__(self) -> None:
        ranges = {
            "quality": (self.quality, 1, 100),
            "short_side": (1 if self.short_side is None else self.short_side, 1, 65_500),
            "val": (self.val or 0, 0, validation_part.MAX),
            "minival": (self.minival, 0, 1 << 32),
            "seed": (self.seed, 0, (1 << 64) - 1),
            "workers": (self.workers, 0, 4096),
        }
        for name, (value, lowest, highest) in ranges.items():
            if not lowest <= value <= highest:
                raise ConfigError(f"{name} is {value}; it must be from {lowest} to {highest}")
        if not self.paths:
            raise ConfigError("source is empty; it must name at least one path")
        if self.split not in (None, *_SPLITS):
            raise ConfigError(f"split is {self.split!r}; it must be one of {', '.join(_SPLITS)}")

    @property
    def paths(self) -> tuple[Path, ...]:
        """The source as one or more paths."""
        return (self.source,) if isinstance(self.source, Path) else tuple(self.source)


def prepare(options: PrepareOptions) -> Manifest:
    """Packs a data set into record files, which appear when all is done, or not at all.

    Every image is decoded once. The same source and options give the same bytes of every file,
    whatever the number of workers. Does nothing if that has been done before.

    Raises:
        DataError: The source cannot be packed as it is, the output cannot be written, or it holds
            records of another source or other options.
    """
    identity = _identity(options)
    try:
        with record_folder.sole_writer(options.output):
            done = record_folder.finished(options.output, identity)
            has_leftovers = record_folder.remove_leftovers(options.output)
            if done:
                say(f"{options.output}: already prepared")
                return done
            if has_leftovers:
                say(f"{options.output}: removed what an interrupted run had left; starting anew")
            return _prepare(options, identity)
    except OSError as error:
        where = error.filename or options.output
        raise DataError(f"{where}: cannot be written: {reason(error)}") from error


def _identity(options: PrepareOptions) -> _Identity:
    """All that decides about the content of the record files."""
    synset = options.synset
    return {
        "source": {
            "paths": [str(path.resolve()) for path in options.paths],
            "fingerprint": fingerprint(options.paths, synset, options.root, options.output),
        },
        "options": {
            "synset": str(synset.resolve()) if synset else None,
            "split": options.split,
            "root": str(options.root.resolve()) if options.root else None,
            "short_side": options.short_side,
            "quality": options.quality,
            "val": None if options.val == validation_part.DEFAULT else options.val,
            "minival": options.minival,
            "seed": options.seed,
            "skip_bad": options.skip_bad,
            "exif_orientation": options.exif_orientation,
        },
    }


def _prepare(options: PrepareOptions, identity: _Identity) -> Manifest:
    spool = options.output / record_folder.SPOOL
    try:
        request = image_sources.Request(
            options.paths, options.synset, options.split, options.root, spool, say
        )
        source = image_sources.find(request)
        say(f"layout: {source.layout}; labels from {source.classes.origin}")
        if source.left_out:
            say(source.left_out)
        for warning in source.odd_counts:
            say(f"warning: {warning}")
        val = validation_part.part_of(source, options.split, options.val)
        images = arranged(source.splits, options.seed, options.minival, val)
        if "train" in images and "val" not in source.splits:
            say(validation_part.sentence(val, images))
        if options.exif_orientation is None:
            own: ExifOrientation = "ignore" if source.classes.is_imagenets else "apply"
            options = dataclasses.replace(options, exif_orientation=own)
        _check_space(images, options)
        if options.checksum:
            _check_sums(options.paths)
        return _write(options, identity, source, images)
    finally:
        spool.unlink(missing_ok=True)


def _check_sums(paths: Iterable[Path]) -> None:
    tars = dataset_layouts.official_tars(paths)
    if not tars:
        raise DataError("checksums are known of ILSVRC2012's tars alone, and the source has none")
    for tar in tars.values():
        say(f"computing the SHA-1 of {tar}")
        ilsvrc2012.check_sha1(tar)


def _check_space(images: dict[str, list[Image]], options: PrepareOptions) -> None:
    everything = [image for those in images.values() for image in those]
    needed = sum(image.file.size for image in everything) * _shrinkage(everything, options)
    needed += len(everything) * _RECORD_OVERHEAD_BYTES
    free = shutil.disk_usage(options.output).free
    if needed > free:
        raise DataError(
            f"{options.output}: the records need about {needed / 1e9:,.1f} GB, and "
            f"{free / 1e9:,.1f} GB are free"
        )


def _shrinkage(images: list[Image], options: PrepareOptions) -> float:
    """What part of its bytes an image keeps on average, measured on some of them."""
    if options.short_side is None:
        return 1.0
    some = images[:: -(-len(images) // _NUM_SAMPLES)]
    samples = [one.stored for one in _converted(some, options, Counter()) if one.stored]
    total = sum(image.file.size for image in some)
    return sum(len(stored.image) for stored in samples) / max(1, total)


def _converted(
    images: list[Image], options: PrepareOptions, complaints: Counter[str]
) -> Generator[Packed, None, None]:
    conversion = Conversion(
        options.short_side, options.quality, options.exif_orientation or "ignore"
    )
    num_workers = options.workers or usable_processors()
    return record_writing.convert_all(images, conversion, num_workers, complaints)


def _write(
    options: PrepareOptions, identity: _Identity, source: Source, images: dict[str, list[Image]]
) -> Manifest:
    """Writes all files under temporary names and then names them; the manifest comes last."""
    record_names = [f"{split}{suffix}" for split in images for suffix in record_folder.SUFFIXES]
    with record_folder.all_or_nothing(options.output), contextlib.ExitStack() as stack:
        paths = {
            # Left, and thereby renamed, in the opposite order.
            name: stack.enter_context(files.replaced(options.output / name))
            for name in (MANIFEST, SYNSET, ODDITIES, *record_names)
        }
        tallies = {
            split: _pack(split, those, options, _paths_of(split, paths))
            for split, those in images.items()
        }
        synset = "".join(f"{line}\n" for line in source.classes.lines)
        paths[SYNSET].write_text(synset, encoding="utf-8")
        paths[ODDITIES].write_text("".join(written_summary.odd_lines(tallies)), encoding="utf-8")
        manifest = dataclasses.replace(
            written_summary.manifest(source, tallies, paths),
            source={"layout": source.layout, **identity["source"]},
            options=identity["options"],
            exif_orientation=options.exif_orientation or "ignore",
        )
        paths[MANIFEST].write_bytes(files.encoded(manifest.to_json()))
        record_folder.mark_unfinished(options.output)
    return manifest


def _paths_of(split: str, paths: dict[str, Path]) -> RecordPaths:
    return RecordPaths(*(paths[f"{split}{suffix}"] for suffix in record_folder.SUFFIXES))


def _pack(split: str, images: list[Image], options: PrepareOptions, paths: RecordPaths) -> Tally:
    """Writes one record file and its companions to the given paths."""
    complaints: Counter[str] = Counter()
    # Closed here, whatever happens: an unfinished iterator would hold its threads.
    with (
        contextlib.closing(_converted(images, options, complaints)) as converted,
        contextlib.closing(watched(converted, split, len(images))) as shown,
    ):
        tally = record_writing.write_records(shown, paths, options.skip_bad)
    for complaint, number in complaints.most_common():
        say(f"{split}: the decoder said {number:,} times: {complaint}")
    if not tally.num_per_label:
        raise DataError(f"{split}: none of the {len(images)} images decodes")
    return tally
