"""Packs an ONNX file as an archive (.mar) for Multi-Model-Server.

Layout: github.com/awslabs/multi-model-server, model-archiver/README.md (a zip file with
MAR-INF/MANIFEST.json, which names the function that answers requests).
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import mobilenet
from mobilenet import files
from mobilenet.data.synset import names_of_classes, spoken_names
from mobilenet.errors import UserError, WeightsError
from mobilenet.export.request_handler import FACTS_FILE, MODEL_FILE
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.open_model import open_model
from mobilenet.validation.validate import transform_as_json

SUFFIX = ".mar"
# `mobilenet.export.request_handler` and all modules of this package that it imports.
_MODULES = (
    "__init__",
    "compat/*",
    "errors",
    "json_fields",
    "metrics",
    "data/__init__",
    "data/eval_transforms",
    "data/image_decoding",
    "data/image_header",
    "export/__init__",
    "export/request_handler",
    "onnx/__init__",
    "onnx/metadata",
    "onnx/runtime",
)
_HANDLER = "mobilenet.export.request_handler:handle"
_FORMAT = "1.0"
# Fixed, so that packing the same content again gives the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_service(source: Path, output: Path) -> None:
    """Packs the ONNX file `source` with its preprocessing, class names and request handler.

    The same file gives the same bytes.

    Args:
        source: An exported `.onnx` file.
        output: The archive, `NAME.mar`; the server calls the model NAME.

    Raises:
        UserError: `output` does not end in `.mar`.
        WeightsError: `source` is not an ONNX image classifier.
    """
    check_name(output)
    if source.suffix != ".onnx":
        raise WeightsError(f"{source} is not an .onnx file; export the model first")
    content = {
        "MAR-INF/MANIFEST.json": _json(_manifest(output.stem)),
        FACTS_FILE: _json(_facts(open_model(source))),
        **_modules(),
        MODEL_FILE: source.read_bytes(),
    }
    with files.open_replaced(output) as file, zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)


def check_name(output: Path) -> None:
    """Checks that the server would accept the name of the archive.

    Raises:
        UserError: `output` does not end in `.mar`.
    """
    if output.suffix != SUFFIX:
        raise UserError(f"{output}: the server takes only archives whose names end in {SUFFIX}")


def _manifest(name: str) -> dict[str, object]:
    return {
        "runtime": "python",
        "model": {"modelName": name, "handler": _HANDLER},
        "modelServerVersion": _FORMAT,
        "implementationVersion": _FORMAT,
        "specificationVersion": _FORMAT,
    }


def _facts(model: LoadedModel) -> dict[str, object]:
    names = names_of_classes(model.class_names, model.config.model.classes)
    return {**transform_as_json(model.transform), "class_names": list(spoken_names(names))}


def _modules() -> dict[str, bytes]:
    package = Path(mobilenet.__file__).parent
    paths = [path for name in _MODULES for path in sorted(package.glob(f"{name}.py"))]
    return {path.relative_to(package.parent).as_posix(): path.read_bytes() for path in paths}


def _json(content: dict[str, object]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode()
