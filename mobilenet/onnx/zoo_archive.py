"""Packs a model as the ONNX model zoo publishes it: an archive, and an entry of its manifest.

Layout: github.com/onnx/models, branch gh-pages, workflow_scripts/ (check_model.py,
ort_test_dir_utils.py, generate_onnx_hub_manifest.py).
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ValueInfoProto, numpy_helper

from mobilenet import files

# Fixed, so that packing the same content again gives the same bytes.
_MTIME = 0
_TAGS = ["vision", "classification", "mobilenet"]

Tensor = npt.NDArray[Any]


def write_archive(path: Path, model_path: Path, examples: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Packs the model with its examples, which are pairs of an input and its output.

    The archive has one folder of its own name, with the .onnx file and, for each example,
    `test_data_set_I/input_0.pb` and `output_0.pb`: tensors named like the graph's input and output.
    """
    model = onnx.load(str(model_path))
    ports = _ports(model)
    folder = path.name.removesuffix(".tar.gz")
    content = {f"{folder}/{model_path.name}": model_path.read_bytes()}
    for index, tensors in enumerate(examples):
        for kind, port, tensor in zip(("input", "output"), ports, tensors):
            proto = numpy_helper.from_array(np.ascontiguousarray(tensor), port.name)
            name = f"{folder}/test_data_set_{index}/{kind}_0.pb"
            content[name] = proto.SerializeToString()
    with (
        files.open_replaced(path) as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=_MTIME) as compressed,
    ):
        _write_tar(compressed, content)


def _write_tar(file: Any, content: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), _MTIME, 0o644
            tar.addfile(entry, io.BytesIO(data))


def manifest_entry(name: str, model_path: Path, archive_path: Path) -> dict[str, Any]:
    """The model's entry in the zoo's ONNX_HUB_MANIFEST.json; paths are relative to the folder."""
    model = onnx.load(str(model_path))
    source, output = _ports(model)
    return {
        "model": name,
        "model_path": model_path.name,
        "onnx_version": _first_release(model),
        "opset_version": _opset(model),
        "metadata": {
            "model_sha": files.sha256_of(model_path),
            "model_bytes": model_path.stat().st_size,
            "tags": _TAGS,
            "io_ports": {"inputs": [_described(source)], "outputs": [_described(output)]},
            "model_with_data_path": archive_path.name,
            "model_with_data_sha": files.sha256_of(archive_path),
            "model_with_data_bytes": archive_path.stat().st_size,
        },
    }


def opset_of(model_path: Path) -> int:
    """The opset of the file."""
    return _opset(onnx.load(str(model_path)))


def _opset(model: onnx.ModelProto) -> int:
    versions = (e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
    return int(next(versions))


def _first_release(model: onnx.ModelProto) -> str:
    """The first version of ONNX that defines the file's opset and IR version."""
    releases = (
        release
        for release, ir_version, opset, *_ in onnx.helper.VERSION_TABLE
        if ir_version >= model.ir_version and opset >= _opset(model)
    )
    return str(next(releases))


def _ports(model: onnx.ModelProto) -> tuple[ValueInfoProto, ValueInfoProto]:
    constants = {tensor.name for tensor in model.graph.initializer}
    (source,) = (port for port in model.graph.input if port.name not in constants)
    return source, model.graph.output[0]


def _described(port: ValueInfoProto) -> dict[str, Any]:
    tensor = port.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    shape = [dimension.dim_param or dimension.dim_value for dimension in tensor.shape.dim]
    return {"name": port.name, "shape": shape, "type": f"tensor({kind})"}
