"""predictions.csv: the prediction of every image as a table."""

from __future__ import annotations

import csv
import io
from typing import Sequence

from mobilenet.metrics import Predictions


def predictions_csv(
    predictions: Predictions, keys: Sequence[int | str], class_names: Sequence[str]
) -> str:
    """One row per image: key or file, label, loss, and the most probable classes, best first.

    Commas and quotes in names are quoted (RFC 4180); probabilities have six digits.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    num_kept = predictions.classes.shape[1]
    places = (f"{column}_{k}" for k in range(1, num_kept + 1) for column in ("top", "name", "p"))
    writer.writerow(["record", "label", "label_name", "loss", *places])
    arrays = (
        predictions.labels,
        predictions.losses,
        predictions.classes,
        predictions.probabilities,
    )
    for key, label, loss, *best in zip(keys, *(array.tolist() for array in arrays)):
        cells = (cell for c, p in zip(*best) for cell in (c, class_names[c], f"{p:.6g}"))
        writer.writerow([key, label, class_names[label], f"{loss:.6g}", *cells])
    return text.getvalue()
