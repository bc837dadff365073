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
    result = package(made.file, arguments.package, made.images, number)
    return [f"Package: {path}" for path in (result.archive, result.manifest, result.card)]


PACKAGE = Companion("package", _add, _write, _check, _check_model)
