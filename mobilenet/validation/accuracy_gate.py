"""Checks that a validation reaches expected accuracies: given ones, or published ones."""

from __future__ import annotations

import re
from typing import NamedTuple

from mobilenet import published_accuracies
from mobilenet.errors import ConfigError, DataError, VerificationError
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.metrics import Counts
from mobilenet.packing import ilsvrc2012
from mobilenet.validation.labelled_images import ValidationSet

TOLERANCE = 0.01
"""For published accuracies, as fraction: the ONNX model zoo allows as much below the paper."""

_FORM = re.compile(r"(top1|top5)=(0?\.\d+|[01](?:\.0*)?)")


class Expectation(NamedTuple):
    """Accuracies that must be reached, less `tolerance`; all three are fractions."""

    top1: float | None = None
    top5: float | None = None
    tolerance: float = 0.0

    def check(self, counts: Counts) -> str:
        """Compares accuracies; returns a sentence with the expected and the reached ones.

        Raises:
            VerificationError: An accuracy is too low.
        """
        wanted = {"top-1": (self.top1, counts.num_top1), "top-5": (self.top5, counts.num_top5)}
        sentences = []
        for name, (accuracy, num_right) in wanted.items():
            if accuracy is None:
                continue
            reached, least = num_right / counts.num_images, accuracy - self.tolerance
            text = f"{name} {reached:.2%}, expected {accuracy:.2%} less {self.tolerance:.2%}"
            # Tolerates the rounding error of the subtraction.
            if reached < least - 1e-12:
                raise VerificationError(f"the accuracy is too low: {text}")
            sentences.append(text)
        return f"as expected: {'; '.join(sentences)}"


def check_tolerance(tolerance: float) -> None:
    """Checks a tolerance.

    Raises:
        ConfigError: It is not a fraction below 1.
    """
    if not 0 <= tolerance < 1:  # also refuses NaN
        raise ConfigError(f"the tolerance {tolerance:g} is not a fraction such as 0.01")


def parse(texts: list[str], tolerance: float) -> Expectation:
    """The expectation from texts like `top1=0.7094`.

    Raises:
        ConfigError: A text has another form, an accuracy is given twice, or the tolerance is no
            fraction.
    """
    check_tolerance(tolerance)
    values: dict[str, float] = {}
    for text in texts:
        match = _FORM.fullmatch(text)
        if match is None:
            raise ConfigError(
                f"'{text}' is no expected accuracy; write e.g. top1=0.7094, top5=0.8999 or"
                " published"
            )
        if match[1] in values:
            raise ConfigError(f"{match[1]} is expected twice")
        values[match[1]] = float(match[2])
    return Expectation(values.get("top1"), values.get("top5"), tolerance)


def published_expectation(
    model: LoadedModel, images: ValidationSet, tolerance: float
) -> Expectation:
    """The accuracies published for the model's weights, or for its dialect, width and resolution.

    Raises:
        ConfigError: Nothing is published for the model, its dialect or width is unknown, or the
            tolerance is no fraction.
        DataError: The images are not the 50,000 on which published accuracies were measured.
    """
    check_tolerance(tolerance)
    if not model.is_described:
        raise ConfigError(
            f"{model.path}: does not say its dialect and width, by which published accuracies are"
            " found; set model.dialect and model.width_multiplier, or expect one as top1=..."
        )
    if len(images) != ilsvrc2012.NUM_IMAGES["val"]:
        raise DataError(
            f"{images.path}: published accuracies are of the {ilsvrc2012.NUM_IMAGES['val']}"
            f" validation images of ILSVRC2012, not of {len(images)}"
        )
    if model.crop is not None:
        raise ConfigError(f"{model.path}: nothing is published for images that are not square")
    if model.published is not None and model.is_as_published:
        return Expectation(model.published.top1, model.published.top5, tolerance)
    network, pixels = model.config.model, model.config.data.resolution
    row = published_accuracies.target(
        network.dialect, network.width_multiplier, pixels, network.depth_multiplier
    )
    return Expectation(row.top1, row.top5, tolerance)
