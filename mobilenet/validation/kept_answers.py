"""The answers that a run gives to each image, as a report in its folder keeps them."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from mobilenet import files
from mobilenet.errors import UserError
from mobilenet.runs.described_weights import best_weights

REPORT = "report"
"""The folder in a run's folder in which its own report is looked for."""


@dataclass(frozen=True)
class KeptAnswers:
    """For each image, by its name or record key: its label, and whether the answer is right."""

    labels: dict[str, str]
    right: dict[str, bool]


def kept_answers(run: Path) -> KeptAnswers:
    """The answers of a run's best checkpoint, from `RUN/report`.

    Raises:
        UserError: There is no such report, it is damaged, or it is of other weights.
    """
    folder = run / REPORT
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
            rows = [(row["record"], row["label"], row["top_1"]) for row in csv.DictReader(file)]
        digest = metrics["model_sha256"]
    except FileNotFoundError:
        raise UserError("has no report") from None
    except (OSError, ValueError, LookupError, TypeError, csv.Error):
        raise UserError(f"has a report that cannot be read ({folder})") from None
    if digest != files.sha256_of(best_weights(run)):
        raise UserError(f"has a report of other weights than its best ({folder})")
    return KeptAnswers(
        {key: label for key, label, _ in rows}, {key: label == top for key, label, top in rows}
    )
