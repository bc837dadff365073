"""The proof refuses every wrong graph, and no right one however badly it is conditioned."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Iterator

import mxnet as mx
import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, TensorProto, numpy_helper
from random_networks import random_network

from mobilenet.data.eval_transforms import IMAGENET
from mobilenet.errors import VerificationError
from mobilenet.network.architecture import MobileNetV2
from mobilenet.network.float64_logits import float64_logits
from mobilenet.onnx.export_verification import TOLERANCE, _normalised, verify_export
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions

OPTIONS = {
    "portable": GraphOptions(resolution=64, softmax=True, pixels="uint8"),
    "half": GraphOptions(resolution=64, half_weights=True, opset=13),
    "zoo": GraphOptions(resolution=64, form="zoo"),
}
DIALECTS = {"portable": "paper", "half": "paper", "zoo": "origin"}
# Without effect on inference: the writer's own test holds it.
WITHOUT_EFFECT = {("BatchNormalization", "momentum")}


@pytest.fixture(scope="module", params=OPTIONS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MobileNetV2, GraphOptions, Path]:
    network = random_network(DIALECTS[request.param], 0.1)
    path = tmp_path_factory.mktemp("proof") / "a.onnx"
    options = OPTIONS[request.param]
    export_network(network, path, options)
    return network, options, path


def test_the_proof_normalises_as_validation_does() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5), np.uint8)
    np.testing.assert_allclose(_normalised(images, IMAGENET), IMAGENET(images), atol=1e-6)


def changed(attribute: AttributeProto) -> Iterator[AttributeProto]:
    """The attribute with one number changed, for each of its numbers."""
    for field in ("i", "f"):
        if attribute.HasField(field):
            copy = AttributeProto()
            copy.CopyFrom(attribute)
            value = getattr(copy, field)
            setattr(copy, field, value * 1.5 if field == "f" and value else value + 1)
            yield copy
    for place in range(len(attribute.ints)):
        copy = AttributeProto()
        copy.CopyFrom(attribute)
        copy.ints[place] += 1
        yield copy
    if attribute.HasField("t"):
        copy = AttributeProto()
        copy.CopyFrom(attribute)
        copy.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t) + 1))
        yield copy


def mutants(model: ModelProto) -> Iterator[tuple[str, ModelProto]]:
    """The model with one number in one attribute of one node changed, and what was changed."""
    for number, node in enumerate(model.graph.node):
        for place, attribute in enumerate(node.attribute):
            if (node.op_type, attribute.name) in WITHOUT_EFFECT:
                continue
            for which, mutated in enumerate(changed(attribute)):
                mutant = ModelProto()
                mutant.CopyFrom(model)
                mutant.graph.node[number].attribute[place].CopyFrom(mutated)
                yield f"{node.op_type} {attribute.name} {which} of '{node.name}'", mutant


def passing(
    exported: tuple[MobileNetV2, GraphOptions, Path],
    chosen: Iterable[tuple[str, ModelProto]],
    path: Path,
) -> list[str]:
    """Those mutants that the proof lets pass."""
    network, options, _ = exported
    found = []
    for name, mutant in chosen:
        path.write_bytes(mutant.SerializeToString())
        try:
            verify_export(path, network, options)
        except VerificationError:
            continue
        found.append(name)
    return found


def test_a_wrong_attribute_is_caught(
    exported: tuple[MobileNetV2, GraphOptions, Path], tmp_path: Path
) -> None:
    """The first and the last of each kind."""
    everything = list(mutants(onnx.load(str(exported[2]))))
    kinds: dict[str, list[tuple[str, ModelProto]]] = {}
    for name, mutant in everything:
        kinds.setdefault(name.partition(" of ")[0], []).append((name, mutant))
    ends = [kind[place] for kind in kinds.values() for place in {0, len(kind) - 1}]
    assert len(kinds) > 10
    assert passing(exported, ends, tmp_path / "mutant.onnx") == []


@pytest.mark.slow
def test_every_wrong_attribute_of_every_node_is_caught(
    exported: tuple[MobileNetV2, GraphOptions, Path], tmp_path: Path
) -> None:
    everything = mutants(onnx.load(str(exported[2])))
    assert passing(exported, everything, tmp_path / "mutant.onnx") == []


def test_a_wrong_constant_is_caught(
    exported: tuple[MobileNetV2, GraphOptions, Path], tmp_path: Path
) -> None:
    network, options, path = exported
    model = onnx.load(str(path))
    tensor = next(t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nextafter(values.flat[0], np.float32(np.inf))
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(VerificationError, match=f"constant '{tensor.name}' .* is not the network"):
        verify_export(tmp_path / "a.onnx", network, options)


@pytest.mark.parametrize("slope", [3, 10])
@pytest.mark.parametrize(("dialect", "form"), [("paper", "portable"), ("gluoncv", "zoo")])
def test_an_ill_conditioned_network_is_exported_and_a_wrong_one_is_not(
    dialect: str, form: str, slope: float, tmp_path: Path
) -> None:
    """Single precision itself is further off than is allowed of well-conditioned networks."""
    network = random_network(dialect, 0.1)
    for name, parameter in network.collect_params().items():
        if name.endswith("expand_norm_gamma"):
            parameter.set_data(parameter.data() * slope)
    options = GraphOptions(resolution=64, form=form)
    result = export_network(network, tmp_path / "a.onnx", options)
    assert result.difference.rounding > TOLERANCE
    model = onnx.load(str(tmp_path / "a.onnx"))
    chosen = list(mutants(model))[::40]
    assert passing((network, options, tmp_path), chosen, tmp_path / "b.onnx") == []


def test_double_precision_is_that_of_the_network() -> None:
    network = random_network("paper", 0.1)
    data = np.random.default_rng(0).normal(size=(2, 3, 40, 64))
    exact, single = float64_logits(network, data), network(mx.nd.array(data)).asnumpy()
    assert exact.dtype == np.float64
    assert 0 < np.abs(exact - single).max() < 1e-4 * np.abs(exact).max()
