"""MXNet's own files of a network: what MXNet and gluoncv compute with them, and their format."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
import pytest
from small_network import small_network

from mobilenet import settings
from mobilenet.cli import main
from mobilenet.errors import UserError, VerificationError
from mobilenet.export import gluon_files
from mobilenet.export.gluon_files import check_gluoncv, write_symbol
from mobilenet.export.to_onnx import untrained_network
from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.graph_forms import training_block
from mobilenet.settings.schema import Config

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import gluoncv

TEXT = """
model: {width_multiplier: WIDTH, classes: 10, dialect: DIALECT}
data: {resolution: 64}
"""
IMAGES = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)


def written(folder: Path, dialect: str = "gluoncv", width: float = 0.5) -> Path:
    path = folder / "net.yaml"
    path.write_text(TEXT.replace("DIALECT", dialect).replace("WIDTH", str(width)))
    return path


def network_of(path: Path) -> Any:
    return untrained_network(settings.load(Config, path))


def exported(config: Path, *options: object) -> int:
    return main(["export", str(config), "--untrained", *map(str, options)])


def largest_difference(found: Any, expected: Any) -> float:
    return float(
        np.abs(found.asnumpy() - expected.asnumpy()).max() / np.abs(expected.asnumpy()).max()
    )


def nodes(graph: dict[str, Any]) -> list[Any]:
    """The operators, their names and attributes, and which outputs of others they take."""
    return [
        (
            *(node[key] for key in ("op", "name")),
            {key: value for key, value in node.get("attrs", {}).items() if key != "__dtype__"},
            [(source, output) for source, output, _ in node["inputs"]],
        )
        for node in graph["nodes"]
    ]


@pytest.mark.parametrize("dialect", ["paper", "gluoncv", "origin"])
def test_symbol_block_and_module_compute_the_network(tmp_path: Path, dialect: str) -> None:
    config = written(tmp_path, dialect)
    assert exported(config, "--gluon", tmp_path / "my net") == 0
    network, data, prefix = network_of(config), mx.nd.array(IMAGES), str(tmp_path / "my net")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Cannot decide type", UserWarning)
        files = (f"{prefix}-symbol.json", ["data"], f"{prefix}-0000.params")
        block = mx.gluon.SymbolBlock.imports(*files)
    assert largest_difference(block(data), network(data)) < 1e-4
    module = mx.mod.Module.load(prefix, 0, label_names=None)
    module.bind([("data", data.shape)], for_training=False)
    module.forward(mx.io.DataBatch([data]), is_train=False)
    assert largest_difference(module.get_outputs()[0], network(data)) < 1e-4


def test_the_files_are_those_of_mxnets_own_export(tmp_path: Path) -> None:
    """The same nodes, names and bytes of parameters as by HybridBlock.export."""
    config = written(tmp_path)
    network = network_of(config)
    write_symbol(network, tmp_path / "ours", (64, 64))
    network.hybridize()
    network(mx.nd.array(IMAGES))
    network.export(str(tmp_path / "theirs"))
    ours, theirs = (
        json.loads((tmp_path / f"{n}-symbol.json").read_text()) for n in ("ours", "theirs")
    )
    assert nodes(ours) == nodes(theirs)
    assert [ours[key] for key in ("arg_nodes", "heads")] == [
        theirs[key] for key in ("arg_nodes", "heads")
    ]
    own, other = (mx.nd.load(str(tmp_path / f"{n}-0000.params")) for n in ("ours", "theirs"))
    assert own.keys() == other.keys()
    assert {name.partition(":")[0] for name in own} == {"arg", "aux"}
    for name, array in own.items():
        assert np.array_equal(array.asnumpy(), other[name].asnumpy())


def test_a_trained_network_is_written_in_the_plain_form(tmp_path: Path) -> None:
    """After a step in the fused and padded form, which training on CPUs takes."""
    network = network_of(written(tmp_path))
    block = training_block(network, [mx.cpu()])
    network.collect_params().setattr("grad_req", "write")
    with mx.autograd.record():
        loss = block(mx.nd.array(IMAGES)).sum()
    loss.backward()
    mx.nd.waitall()
    assert write_symbol(network, tmp_path / "net", (64, 64)) < 1e-4
    graph = json.loads((tmp_path / "net-symbol.json").read_text())
    operators = {node["op"] for node in graph["nodes"]} - {"null"}
    assert operators == {
        *("Convolution", "BatchNorm", "clip", "elemwise_add", "Pooling", "Flatten"),
    }
    shapes = {name: array.shape for name, array in parameter_arrays(network).items()}
    saved = mx.nd.load(str(tmp_path / "net-0000.params"))
    assert {name.partition(":")[2]: array.shape for name, array in saved.items()} == shapes


def test_files_that_compute_something_else_get_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(written(tmp_path))
    write_symbol(network, tmp_path / "net", (64, 64))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def wrong(network: Any) -> dict[str, Any]:
        arrays = parameter_arrays(network)
        return {**arrays, "stem_norm_gamma": arrays["stem_norm_gamma"] * 2}

    monkeypatch.setattr(gluon_files, "parameter_arrays", wrong)
    with pytest.raises(VerificationError, match="something else with the symbol"):
        write_symbol(network, tmp_path / "net", (64, 64))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("width", [0.25, 0.35, 1.0, 1.4])
def test_gluoncv_loads_its_own_names(
    tmp_path: Path, width: float, capsys: pytest.CaptureFixture[str]
) -> None:
    config = written(tmp_path, width=width)
    path = tmp_path / "net.params"
    assert exported(config, "--gluoncv", path) == 0
    call = f"gluoncv.model_zoo.MobileNetV2({width}, classes=10).load_parameters({str(path)!r})"
    assert f"For gluoncv: {call}" in capsys.readouterr().out
    theirs = gluoncv.model_zoo.MobileNetV2(width, classes=10)
    theirs.load_parameters(str(path))
    data = mx.nd.array(IMAGES)
    assert largest_difference(theirs(data), network_of(config)(data)) < 1e-6


def test_an_onnx_file_is_written_as_well(tmp_path: Path) -> None:
    model = small_network(tmp_path / "net.onnx")
    assert main(["export", str(model), "--gluon", str(tmp_path / "net")]) == 0
    names = ["net-0000.params", "net-symbol.json", "net.onnx"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("dialect: paper", "has no bias in its classifier, so it cannot take"),
        ("dialect: origin", "has no expansion in its first block, so it cannot take"),
        ("dialect: gluoncv, activation: relu", "computes relu6, not relu, so it cannot take"),
        ("dialect: gluoncv, depth_multiplier: 1.4", "has no depth multiplier such as 1.4"),
    ],
)
def test_what_gluoncv_lacks_is_said_before_the_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, reason: str
) -> None:
    config = tmp_path / "net.yaml"
    config.write_text(f"model: {{classes: 10, {setting}}}\n")
    with pytest.raises(UserError, match=reason):
        check_gluoncv(settings.load(Config, config))
    assert exported(config, "--gluoncv", tmp_path / "net.params") == 2
    assert f"--gluoncv: gluoncv's MobileNetV2 {reason}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["net.yaml"]


def test_bad_names_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "net-0000.params"
    weights.write_bytes(b"mine")
    (tmp_path / "x-symbol.json").mkdir()
    cases = {
        ("--gluoncv", weights): "--gluoncv: " + f"{weights} would replace what it is made from",
        ("--gluon", tmp_path / "net"): f"--gluon: {weights} would replace what it is made from",
        ("--gluoncv", tmp_path / "net.npz"): "the name of MXNet's weights ends in .params",
        ("--gluon", tmp_path / "x"): "x-symbol.json: is a folder; name a file",
        ("--gluon", tmp_path): "is a folder; name a file",
    }
    for options, message in cases.items():
        try:
            code: Any = main(["export", str(weights), *map(str, options)])
        except SystemExit as stopped:
            code = stopped.code
        assert code == 2
        said = capsys.readouterr().err
        assert message in said, (options, said)
    assert weights.read_bytes() == b"mine"
    assert len([*tmp_path.iterdir()]) == 2
