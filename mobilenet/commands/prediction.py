"""`predict`: the most probable classes of images, and what in them speaks for these."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, Sequence

from mobilenet.commands.arguments import MODEL, Adder, add_command, add_config, add_int8, refuse
from mobilenet.commands.inference_setup import in_int8_if_asked, prepare_mxnet
from mobilenet.commands.output_paths import folder_to_write
from mobilenet.errors import UserError
from mobilenet.skipped_items import SkippedItems

_ORIENTATION = "data.exif_orientation="


def add_predict(adder: Adder) -> None:
    """Adds `predict`."""
    parser = add_command(adder, "predict", predict)
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="files, folders, patterns such as '*.jpg', or - for a list on standard input",
    )
    add_config(parser)
    add_int8(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="key.sub=value",
        help="replace a setting of the configuration; may be repeated",
    )
    parser.add_argument(
        "--explain",
        type=folder_to_write,
        metavar="DIR",
        help="folder for heat maps of what in each image speaks for its class (Grad-CAM)",
    )
    formats = parser.add_mutually_exclusive_group()
    for name, text in (
        ("json", "print a line of JSON per image"),
        ("csv", "print a row per class"),
    ):
        formats.add_argument(
            f"--{name}", dest="format", action="store_const", const=name, default="table", help=text
        )


def predict(arguments: Namespace) -> int:
    """Predict the five most probable classes of each image."""
    if arguments.int8:
        refuse(arguments, "with --int8", "explain")
    prepare_mxnet(arguments)
    from mobilenet.inference.open_model import open_model
    from mobilenet.inference.predict import FORMATS, find_images, predict

    images = find_images(arguments.images, sys.stdin)
    _check_folder(arguments.explain, images)
    # Those who send photos mean them upright, whatever the network was trained on.
    is_chosen = any(setting.startswith(_ORIENTATION) for setting in arguments.set)
    settings = arguments.set if is_chosen else [f"{_ORIENTATION}apply", *arguments.set]
    opened = open_model(
        arguments.model, arguments.config, settings, as_network=arguments.explain is not None
    )
    model = in_int8_if_asked(arguments, opened)
    skipped = SkippedItems("images", len(images))
    answers = predict(model, images, skipped, _heat_maps(model, arguments.explain))
    for line in FORMATS[arguments.format](answers):
        print(line, flush=True)
    skipped.check()
    return 0


def _check_folder(folder: Path | None, images: Sequence[str]) -> None:
    """Refuses to put pictures of the images' names beside the images."""
    if folder is not None and folder.resolve() in {Path(i).resolve().parent for i in images}:
        raise UserError(f"--explain {folder}: holds images that are predicted; name another folder")


def _heat_maps(model: Any, folder: Path | None) -> Any:
    if folder is None:
        return None
    from mobilenet.inference.grad_cam import HeatMaps

    return HeatMaps(model.network, model.transform.normalization, folder)
