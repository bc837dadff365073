"""Writes the files of a report: metrics.json, predictions.csv and report.html."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

from mobilenet import files
from mobilenet.data.synset import spoken_names
from mobilenet.validation.report.page import page
from mobilenet.validation.report.predictions_csv import predictions_csv
from mobilenet.validation.report.provenance import Provenance, provenance
from mobilenet.validation.report.report_data import Report
from mobilenet.validation.validate import Validation


def write_report(validation: Validation, folder: Path) -> None:
    """Writes metrics.json, predictions.csv and report.html into `folder`."""
    data, predictions = validation.data, validation.predictions
    origin = provenance(validation.model, data.path)
    metrics = {**validation.as_json(), **origin._asdict()}
    files.write_json(folder / "metrics.json", metrics)
    table = predictions_csv(predictions, data.keys, data.class_names)
    files.write_text(folder / "predictions.csv", table)
    report = Report(
        title=validation.model.title,
        facts={**dict(_facts(validation)), **_as_facts(origin)},
        predictions=predictions,
        class_names=spoken_names(data.class_names),
        image=data.image,
        keys=data.keys,
        images_per_second=validation.counts.num_images / validation.seconds,
    )
    files.write_text(folder / "report.html", page(report))


def _facts(validation: Validation) -> Iterator[tuple[str, str]]:
    """The conditions of a validation, and what they leave out."""
    model, data, transform = validation.model, validation.data, validation.transform
    yield "data", str(data.path)
    sizes = f"short side {transform.short_side}, crop {transform.size_text} px"
    yield "preprocessing", f"{transform.name}, {sizes}"
    yield "EXIF orientation", {"ignore": "ignored", "apply": "applied"}[transform.exif_orientation]
    yield "views", validation.options.views
    if model.calibrated_on is not None:
        yield "precision", f"8-bit integers, calibrated on {model.calibrated_on}"
    if validation.options.restricted:
        yield "answers", f"only {len(data.classes)} of {len(data.class_names)} classes"
    if validation.any_label is not None:
        num_images, *num_right = validation.any_label
        top1, top5 = (f"{right / num_images:.2%} ({right} of {num_images})" for right in num_right)
        yield "any right label", f"top-1 {top1}, top-5 {top5}"
    if data.gap:
        yield "not comparable", f"{data.path.name} {data.gap}"


def _as_facts(origin: Provenance) -> dict[str, str]:
    digests = {"weights": origin.model_sha256, "records": origin.data_sha256}
    return {
        "made by": f"mobilenet {origin.version}",
        "on": origin.date.replace("T", " ").replace("+00:00", " UTC"),
        **{f"SHA-256 of the {name}": digest for name, digest in digests.items() if digest},
    }
