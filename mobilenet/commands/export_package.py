"""`export --package`: the ONNX file with examples and a model card, as the model zoo has them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from mobilenet.commands.arguments import count, refuse
from mobilenet.commands.companion import Companion, Made
from mobilenet.commands.output_paths import folder_to_write

_NUM_EXAMPLES = 3


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--package",
        type=folder_to_write,
        metavar="DIR",
        help="also pack the file as the model zoo does",
    )
    parser.add_argument(
        "--examples", type=count, help=f"number of examples in the package ({_NUM_EXAMPLES})"
    )


def _check(arguments: Namespace) -> None:
    if arguments.package is None:
        refuse(arguments, "without --package", "examples")


def _check_model(arguments: Namespace, model: Any, options: Any) -> None:
    """Checks that there are enough real images, if there are any."""
    from mobilenet.export.to_onnx import own_images, transform_for
    from mobilenet.export.zoo_package import enough_images

    images = arguments.data or own_images(model)
    if images is not None:
        number = (arguments.examples or _NUM_EXAMPLES) * (options.batch or 1)
        enough_images(images, transform_for(model.transform, options), number)


def _write(made: Made, arguments: Namespace) -> list[str]:
    from mobilenet.export.zoo_package import package

    number = arguments.examples or _NUM_EXAMPLES
    accuracy, said = _measured(made, arguments)
    result = package(made.file, arguments.package, made.images, number, accuracy)
    return [said, *(f"Package: {path}" for path in (result.archive, result.manifest, result.card))]


def _measured(made: Made, arguments: Namespace) -> tuple[Any, str]:
    """The accuracies for the model card: the file's own, or else those on `--data`."""
    from mobilenet.errors import DataError
    from mobilenet.export.model_card import accuracy_of, accuracy_text
    from mobilenet.inference.open_model import open_model
    from mobilenet.onnx.runtime import OnnxModel
    from mobilenet.validation.validate import open_data, validate

    facts = OnnxModel(made.file).metadata
    if arguments.data is not None and facts.top1_accuracy is None:
        model = open_model(made.file)
        try:
            facts = accuracy_of(validate(model, open_data(model, arguments.data)))
        except DataError as error:
            return facts, f"Accuracy: not measured, because {error}"
    return facts, f"Accuracy: {accuracy_text(facts)}"


PACKAGE = Companion("package", _add, _write, _check, _check_model)
