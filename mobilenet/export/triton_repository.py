"""Puts an ONNX file into a model repository for NVIDIA Triton, with its configuration and labels.

Layout: github.com/triton-inference-server/server, docs/user_guide/model_repository.md; fields of
config.pbtxt: github.com/triton-inference-server/common, protobuf/model_config.proto.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterator

from mobilenet import files
from mobilenet.data.synset import names_of_classes, spoken_names
from mobilenet.errors import UserError, WeightsError
from mobilenet.inference.open_model import open_model
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.validation.validate import transform_as_json

_CONFIG, _LABELS, _VERSION = "config.pbtxt", "labels.txt", "1"
_TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8"}
_MAX_BATCH = 32
_ANY = -1


def write_repository(source: Path, repository: Path) -> Path:
    """Writes the folder of the ONNX file `source` into `repository`; gives its path.

    The folder has the name of the file, and is there whole or not at all. One of an earlier call is
    replaced; other models of the repository stay. The same file gives the same bytes.

    Raises:
        UserError: There is something else in the place of the folder.
        WeightsError: `source` is not an ONNX image classifier.
    """
    if source.suffix != ".onnx":
        raise WeightsError(f"{source} is not an .onnx file; export the model first")
    check_place(repository, source.stem)
    model = open_model(source)
    names = spoken_names(names_of_classes(model.class_names, model.config.model.classes))
    preprocessing = json.dumps(transform_as_json(model.transform))
    folder = repository / source.stem
    with files.replaced_folder(folder.resolve()) as new:
        config = "\n".join(_config(OnnxModel(source), preprocessing)) + "\n"
        (new / _CONFIG).write_text(config, encoding="utf-8")
        (new / _LABELS).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        (new / _VERSION).mkdir()
        (new / _VERSION / "model.onnx").write_bytes(source.read_bytes())
    return folder


def check_place(repository: Path, name: str) -> None:
    """Refuses a repository in which something would be lost.

    Raises:
        UserError: It holds something else under the name of the model.
    """
    folder = repository / name
    if not folder.exists():
        return
    own = {_CONFIG, _LABELS, _VERSION}
    others = sorted({path.name for path in folder.iterdir()} - own) if folder.is_dir() else [name]
    if others or not (folder / _CONFIG).is_file():
        raise UserError(
            f"--triton {repository}: {folder} is there already, and is not what this option makes;"
            " name another folder"
        )


def _config(file: OnnxModel, preprocessing: str) -> Iterator[str]:
    """The lines of config.pbtxt, in protobuf's text format."""
    # Where the file has a fixed batch, the batch is one of the dimensions.
    fixed = [] if file.batch_size is None else [file.batch_size]
    height, width = file.resolution or (_ANY, _ANY)
    yield 'backend: "onnxruntime"'
    yield f"max_batch_size: {0 if fixed else _MAX_BATCH}"
    yield "input {"
    yield f"  name: {_quoted(file.input_name)}"
    yield f"  data_type: {_TYPES[file.dtype.name]}"
    yield f"  dims: {[*fixed, 3, height, width]}"
    yield "}"
    yield "output {"
    yield f"  name: {_quoted(file.output_name)}"
    yield "  data_type: TYPE_FP32"
    yield f"  dims: {[*fixed, file.num_classes]}"
    yield f"  label_filename: {_quoted(_LABELS)}"
    yield "}"
    if not fixed:
        yield "dynamic_batching { }"
    yield "# How a client makes the input of an image, which Triton itself does not."
    yield "parameters {"
    yield '  key: "preprocessing"'
    yield f"  value {{ string_value: {_quoted(preprocessing)} }}"
    yield "}"


def _quoted(text: str) -> str:
    """A string of protobuf's text format, which knows the escapes of JSON."""
    return json.dumps(text, ensure_ascii=False)
