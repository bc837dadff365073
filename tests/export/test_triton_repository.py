"""The model repository for NVIDIA Triton: its configuration by Triton's schema, and its files."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from small_network import small_network
from told import assert_told

from mobilenet import cli
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.export.triton_repository import write_repository
from mobilenet.inference.open_model import open_model
from mobilenet.packing.drawn_sample import CLASSES

FORMS: dict[str, tuple[dict[str, Any], int, str, list[int], list[int]]] = {
    "uint8": ({"pixels": "uint8"}, 32, "TYPE_UINT8", [3, 64, 64], [10]),
    "normalised": ({}, 32, "TYPE_FP32", [3, 64, 64], [10]),
    "any size": ({"resolution": None, "pixels": "float"}, 32, "TYPE_FP32", [3, -1, -1], [10]),
    "batches of 4": ({"batch": 4, "softmax": True}, 0, "TYPE_FP32", [4, 3, 64, 64], [4, 10]),
    "no square": ({"resolution": (32, 64)}, 32, "TYPE_FP32", [3, 32, 64], [10]),
}


def parsed(text: str) -> Any:
    """The configuration as Triton reads it; a skip without its schema."""
    spec = importlib.util.find_spec("tritonclient")
    if spec is None or spec.origin is None:
        pytest.skip("needs Triton's schema: pip install --no-deps tritonclient")
    # The module alone: its package wants gRPC.
    path = Path(spec.origin).parent / "grpc" / "model_config_pb2.py"
    schema_spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert schema_spec is not None
    assert schema_spec.loader is not None
    schema = importlib.util.module_from_spec(schema_spec)
    schema_spec.loader.exec_module(schema)
    from google.protobuf import text_format  # noqa: PLC0415

    return text_format.Parse(text, schema.ModelConfig())


@pytest.mark.parametrize("name", FORMS)
def test_triton_s_schema_takes_the_configuration(name: str, tmp_path: Path) -> None:
    options, max_batch, kind, dims, outputs = FORMS[name]
    source = small_network(tmp_path / "net.onnx", **options)
    folder = write_repository(source, tmp_path / "models")
    config = parsed((folder / "config.pbtxt").read_text())
    assert (config.backend, config.max_batch_size) == ("onnxruntime", max_batch)
    assert config.HasField("dynamic_batching") == (max_batch > 0)
    (given,), (found,) = config.input, config.output
    types = given.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
    assert types[given.data_type].name == kind
    assert types[found.data_type].name == "TYPE_FP32"
    assert (list(given.dims), list(found.dims)) == (dims, outputs)
    session = onnxruntime.InferenceSession(str(folder / "1" / "model.onnx"))
    assert [value.name for value in session.get_inputs()] == [given.name]
    assert [value.name for value in session.get_outputs()] == [found.name]
    assert (folder / found.label_filename).read_text().splitlines() == list(CLASSES)
    # What a client needs of the preprocessing.
    facts = json.loads(config.parameters["preprocessing"].string_value)
    transform = open_model(source).transform
    assert (facts["resolution"], facts["short_side"]) == (
        transform.resolution,
        transform.short_side,
    )
    assert facts["name"] == EvalTransform().name
    assert np.allclose(facts["mean"], transform.normalization.mean)


def test_the_same_file_gives_the_same_bytes_beside_other_models(tmp_path: Path) -> None:
    source = small_network(tmp_path / "net.onnx", names=['"a" \\', *"bcdefghij"])
    (tmp_path / "models" / "other").mkdir(parents=True)
    first = content(write_repository(source, tmp_path / "models"))
    assert content(write_repository(source, tmp_path / "models")) == first
    assert sorted(first) == ["1/model.onnx", "config.pbtxt", "labels.txt"]
    assert first["1/model.onnx"] == source.read_bytes()
    assert first["labels.txt"].startswith(b'"a" \\\nb\n')
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["net", "other"]


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, models = small_network(tmp_path / "net.onnx", pixels="uint8"), tmp_path / "models"
    assert cli.main(["export", str(source), "--triton", str(models)]) == 0
    assert f"Model for NVIDIA Triton: {models / 'net'}" in capsys.readouterr().out
    (models / "net" / "2").mkdir()
    assert cli.main(["export", str(source), "--triton", str(models)]) == 2
    assert_told(capsys.readouterr().err, "a place for Triton that holds something else")
    assert (models / "net" / "2").is_dir()
    with pytest.raises(SystemExit, match="2"):
        cli.main(["export", str(source), "--triton", str(source)])
    assert "is a file; name a folder" in capsys.readouterr().err
