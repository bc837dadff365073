"""Reads records by MXNet's ImageRecordIter, with which most of Gluon's accuracies were measured."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import mxnet as mx
import numpy as np

from mobilenet.data.batch_reader import Batch
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.image_header import read_header
from mobilenet.data.record_file import RecordFile
from mobilenet.errors import DataError

# With other formats its decoder may return no pixel, which ends the process with SIGFPE.
_FORMATS = ("JPEG", "PNG")


def obstacle(records: RecordFile, transform: EvalTransform) -> str:
    """Why ImageRecordIter would read other images than this package; empty if it would not."""
    if not all(map(_is_text, (records.path, records.index_path))):
        return "MXNet cannot be told a path that is no UTF-8 text"
    for position in range(len(records)):
        header = read_header(bytes(records.image(position)))
        if header.format not in _FORMATS:
            return f"record {position} is neither JPEG nor PNG"
        if header.orientations and transform.exif_orientation == "ignore":
            return f"it turns record {position} by its EXIF orientation"
    return ""


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def record_iter_batches(
    records: RecordFile, transform: EvalTransform, batch_size: int
) -> Iterator[Batch]:
    """Every record once, as ImageRecordIter decodes, resizes and crops it; labels are not set.

    Of `transform` only sizes and normalisation are used: ImageRecordIter resizes the short side
    bilinearly, keeping the aspect ratio.

    Raises:
        DataError: ImageRecordIter finds another number of records.
    """
    iterator = mx.io.ImageRecordIter(
        path_imgrec=str(records.path),
        path_imgidx=str(records.index_path),
        data_shape=(3, *transform.size),
        batch_size=min(batch_size, len(records)),
        resize=transform.short_side,
        ctx="cpu",  # on all processors
        verbose=False,
        **_colours(transform),
    )
    # It reads in the order of the record file, not of the index.
    order = np.argsort(records.offsets, kind="stable")
    num_read = 0
    for batch in iterator:
        # The last batch is padded with the first records.
        data = batch.data[0].asnumpy()[: batch.data[0].shape[0] - batch.pad]
        positions = order[num_read : num_read + len(data)]
        num_read += len(data)
        if len(positions) == len(data):
            yield Batch(data, np.zeros(len(data), np.int32), positions)
    if num_read != len(records):
        raise DataError(
            f"{records.path}: ImageRecordIter reads {num_read} records, but the index has"
            f" {len(records)}"
        )


def _colours(transform: EvalTransform) -> dict[str, float]:
    mean, std = transform.normalization.mean, transform.normalization.std
    triples = {"mean": mean, "std": std}
    return {
        f"{name}_{channel}": 255 * value
        for name, values in triples.items()
        for channel, value in zip("rgb", values)
    }
