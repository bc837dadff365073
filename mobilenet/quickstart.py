"""Prepares, trains, validates and exports on the embedded sample, without any other data."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

from mobilenet import files, settings
from mobilenet.errors import DataError, VerificationError
from mobilenet.export.to_onnx import export
from mobilenet.inference.open_model import open_model
from mobilenet.onnx.exporter import ExportResult
from mobilenet.packing.drawn_sample import write_sample
from mobilenet.packing.prepare import PrepareOptions, prepare
from mobilenet.runs import run_folder
from mobilenet.settings.schema import Config
from mobilenet.training.training_run import train
from mobilenet.validation.validate import Validation, open_data, validate

_NUM_TRAIN_PER_CLASS = 800
_NUM_VAL_PER_CLASS = 100
_SIZE = 64
_SEED = 1
_TARGET_TOP1 = 0.95


@dataclass(frozen=True)
class Outcome:
    """The results of quickstart."""

    num_train_images: int
    gluon: Validation
    onnx: Validation
    exported: ExportResult
    run: Path

    def summary(self) -> str:
        """A short table."""
        counts, other = self.gluon.counts, self.onnx.counts
        rows = {
            "trained on": f"{self.num_train_images:,} images",
            "top-1 / top-5": f"{counts.top1:.2%} / {counts.top5:.2%} of {counts.num_images:,}",
            "by ONNX Runtime": f"{other.top1:.2%} / {other.top5:.2%} of {other.num_images:,}",
            "ONNX file": f"{self.exported.path}, {self.exported.num_bytes:,} bytes",
            "opset": f"{self.exported.opset}",
            "largest difference": f"{self.exported.difference.absolute:.1e} between MXNet and"
            " ONNX Runtime",
            "run folder": f"{self.run}",
        }
        return "\n".join(f"{name:20}{value}" for name, value in rows.items())

    def check(self) -> None:
        """Checks the accuracy.

        Raises:
            VerificationError: It is lower than usual for this data.
        """
        top1 = self.gluon.counts.top1
        if top1 < _TARGET_TOP1:
            raise VerificationError(
                f"the network reached {top1:.1%} top-1; at least {_TARGET_TOP1:.0%} is expected"
            )


def quickstart(output: Path) -> Outcome:
    """Draws a data set, prepares, trains, validates and exports, all in the folder `output`.

    Steps that an earlier call has finished are not repeated; an interrupted training continues.

    Raises:
        DataError: The folder contains other images.
    """
    images, records, run = (output / name for name in ("images", "records", "run"))
    _say(1, f"drawing the sample images into {images}")
    sample_images(images)
    _say(2, f"packing them into record files in {records}")
    manifest = prepare(PrepareOptions(images, records))
    config = _config(records.absolute())
    _say(3, f"training MobileNet v2, width {config.model.width_multiplier}, in {run}")
    train(config, run, resume=(run / run_folder.CONFIG).is_file())
    _say(4, "exporting to ONNX opset 7, and validating both forms on every image")
    model = open_model(run)
    exported = export(model, output / "mobilenetv2.onnx")
    onnx = open_model(exported.path)
    return Outcome(
        manifest.splits["train"].num_records,
        validate(model, open_data(model, records)),
        validate(onnx, open_data(onnx, records)),
        exported,
        run,
    )


def sample_images(
    folder: Path,
    num_train_per_class: int = _NUM_TRAIN_PER_CLASS,
    num_val_per_class: int = _NUM_VAL_PER_CLASS,
) -> Path:
    """Draws the embedded sample of 64 x 64 px into `folder`, unless it is there; gives `folder`.

    Raises:
        DataError: The folder holds other images, according to the text file beside it.
    """
    note = folder.with_name(f"{folder.name}.txt")
    drawn = (
        f"{num_train_per_class} training and {num_val_per_class} validation images of each class,"
        f" {_SIZE} px, seed {_SEED}\n"
    )
    if not folder.exists():
        files.write_text(note, drawn)
        write_sample(folder, num_train_per_class, num_val_per_class, size=_SIZE, seed=_SEED)
    elif not note.is_file() or note.read_text(encoding="utf-8") != drawn:
        raise DataError(
            f"{folder}: holds other images than {drawn.strip()}; remove it with the records and"
            " the run that were made from it, or choose another folder"
        )
    return folder


def _config(records: Path) -> Config:
    config = settings.load(Config, Path(__file__).parent / "configs" / "quickstart.yaml")
    return dataclasses.replace(
        config, data=dataclasses.replace(config.data, directory=str(records))
    )


def _say(number: int, what: str) -> None:
    print(f"[{number}/4] {what}", file=sys.stderr, flush=True)  # noqa: T201  progress of a script
