"""`predict` and `serve`: the most probable classes of images, at once or by HTTP."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Sequence

from mobilenet.commands.arguments import (
    MODEL,
    Adder,
    add_command,
    add_config,
    add_engine,
    add_int8,
    count,
    port_or_any,
    refuse,
)
from mobilenet.commands.inference_setup import (
    engine_in_float32,
    in_int8_if_asked,
    prepare_mxnet,
)
from mobilenet.commands.output_paths import folder_to_write
from mobilenet.errors import UserError
from mobilenet.progress_bar import say
from mobilenet.skipped_items import SkippedItems

# The modules that `serve` imports, and the packages of the extra `serve` that have them.
_PACKAGES = {
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "prometheus_client": "prometheus-client",
    "python_multipart": "python-multipart",
}
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
    _add_preparation(parser)
    add_engine(parser, "onnxruntime; networks on GPUs or with --explain: mxnet")
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


def _add_preparation(parser: ArgumentParser) -> None:
    """Adds how the model is opened."""
    add_config(parser)
    add_int8(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="key.sub=value",
        help="replace a setting of the configuration; may be repeated",
    )


def add_serve(adder: Adder) -> None:
    """Adds `serve`."""
    parser = add_command(adder, "serve", serve)
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    _add_preparation(parser)
    add_engine(parser, "onnxruntime; networks on GPUs: mxnet")
    add: Any = parser.add_argument
    for name, kind, default, metavar, text in (
        ("host", str, "127.0.0.1", "HOST", "address to listen at; 0.0.0.0 for every network"),
        ("port", port_or_any, 8000, "PORT", "port to listen at; 0 for a free one"),
        ("max-batch", count, 16, "N", "images that are computed at once"),
        ("max-requests", count, 128, "N", "requests at the same time; more are refused (503)"),
        ("max-body-mb", count, 16, "N", "megabytes of a request; a larger one is refused (413)"),
        ("max-wait-seconds", count, 5, "N", "seconds in the queue; then it is refused (503)"),
    ):
        add(f"--{name}", type=kind, default=default, metavar=metavar, help=f"{text} (%(default)s)")


def predict(arguments: Namespace) -> int:
    """Predict the five most probable classes of each image."""
    if arguments.int8:
        refuse(arguments, "with --int8", "explain")
    prepare_mxnet(arguments)
    from mobilenet.inference.predict import FORMATS, find_images, predict

    images = find_images(arguments.images, sys.stdin)
    _check_folder(arguments.explain, images)
    model = _opened(arguments, is_explained=arguments.explain is not None)
    if model.unusual_engine:
        say(f"run by {model.unusual_engine}")
    skipped = SkippedItems("images", len(images))
    answers = predict(model, images, skipped, _heat_maps(model, arguments.explain))
    for line in FORMATS[arguments.format](answers):
        print(line, flush=True)
    skipped.check()
    return 0


def _opened(arguments: Namespace, is_explained: bool = False) -> Any:
    """The model, run by the fastest engine unless one was named; MXNet explains its own answers."""
    from mobilenet.inference.open_model import open_model
    from mobilenet.inference.other_engines import by_fastest

    path, config, overrides = arguments.model, arguments.config, _settings(arguments)
    opened = open_model(path, config, overrides, engine_in_float32(arguments), is_explained)
    if arguments.engine is None and not (arguments.int8 or is_explained):
        return by_fastest(opened)
    return in_int8_if_asked(arguments, opened)


def _settings(arguments: Namespace) -> list[str]:
    """The settings to replace. Those who send photos mean them upright, however it was trained."""
    given: list[str] = arguments.set
    is_chosen = any(setting.startswith(_ORIENTATION) for setting in given)
    return given if is_chosen else [f"{_ORIENTATION}apply", *given]


def serve(arguments: Namespace) -> int:
    """Answer requests for predictions by HTTP, until Ctrl-C or SIGTERM."""
    _check_packages()
    prepare_mxnet(arguments)
    from mobilenet.serving.limits import Limits
    from mobilenet.serving.server import listen, serve

    with listen(arguments.host, arguments.port) as listening:
        model = _opened(arguments)
        limits = Limits(
            arguments.max_batch,
            arguments.max_requests,
            arguments.max_body_mb * 10**6,
            arguments.max_wait_seconds,
        )
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        url = f"http://{host}:{listening.getsockname()[1]}"
        serve(model, listening, limits, lambda: print(f"{model.title}: {url}", flush=True))
    return 0


def _check_packages() -> None:
    """Names the packages of the extra `serve` that are missing."""
    missing = [name for module, name in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise UserError(f"serve needs packages that are missing: pip install {' '.join(missing)}")


def _check_folder(folder: Path | None, images: Sequence[str]) -> None:
    """Refuses to put pictures of the images' names beside the images."""
    if folder is not None and folder.resolve() in {Path(i).resolve().parent for i in images}:
        raise UserError(f"--explain {folder}: holds images that are predicted; name another folder")


def _heat_maps(model: Any, folder: Path | None) -> Any:
    if folder is None:
        return None
    from mobilenet.inference.grad_cam import HeatMaps

    return HeatMaps(model.network, model.transform.normalization, folder)
