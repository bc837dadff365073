"""The same counts for real weights on real images, whatever computes them and however many at once.

The weights expect values from -1 to 1 and odd sizes; the figures for them were established outside
of this package with OpenCV and gluoncv's network: 252 and 294 of 300.
"""

from __future__ import annotations

from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mobilenet import build
from mobilenet.export.to_onnx import export
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.open_model import open_model
from mobilenet.metrics import Predict, Predictions, joined, score
from mobilenet.packing.prepare import PrepareOptions, prepare
from mobilenet.validation.labelled_images import ValidationSet, open_validation_set
from mobilenet.validation.validate import validate

pytestmark = pytest.mark.shared_data

NUM_IMAGES = 300
CONFIG = Path(__file__).parents[2] / "configs" / "imagenet" / "mobilenetv2_1.0-tf.yaml"


@pytest.fixture(scope="module")
def model(shared: Path) -> LoadedModel:
    return open_model(shared / "weights" / "mobilenetv2_1.0-imagenet.params", CONFIG)


@pytest.fixture(scope="module")
def images(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> ValidationSet:
    sample, records = shared / "data" / "imagenet-sample", tmp_path_factory.mktemp("engines")
    synset = sample / "synset.txt"
    prepare(PrepareOptions(sample / "images", records, synset=synset, split="val"))
    return open_validation_set(records, (), 1000)


@pytest.fixture(scope="module")
def inputs(model: LoadedModel, images: ValidationSet) -> np.ndarray:
    """(300, 3, 225, 225)"""
    return np.stack([model.transform(images.image(place)) for place in range(NUM_IMAGES)])


@pytest.fixture(scope="module")
def reference(model: LoadedModel, images: ValidationSet) -> Predictions:
    return validate(model, images).predictions


@pytest.fixture(scope="module")
def onnx_path(model: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engines") / "model.onnx"
    export(model, path)
    return path


def answers(predict: Predict, inputs: np.ndarray, labels: np.ndarray, size: int) -> Predictions:
    starts = range(0, len(inputs), size)
    return joined(
        [
            score(predict(inputs[s : s + size]), labels[s : s + size].astype(np.int32))
            for s in starts
        ]
    )


def assert_equal(found: Predictions, reference: Predictions) -> None:
    assert found.counts()[:3] == reference.counts()[:3]
    np.testing.assert_array_equal(found.classes[:, 0], reference.classes[:, 0])
    assert found.losses == pytest.approx(reference.losses, abs=2e-4)


def test_counts_are_the_established_ones(reference: Predictions) -> None:
    counts = reference.counts()
    assert counts.num_images == NUM_IMAGES
    assert abs(counts.num_top1 - 252) <= 3
    assert abs(counts.num_top5 - 294) <= 3


@pytest.mark.parametrize("size", [1, 7, 64, NUM_IMAGES])
def test_batch_size_does_not_matter(
    model: LoadedModel, inputs: np.ndarray, reference: Predictions, size: int
) -> None:
    assert_equal(answers(model.predict, inputs, reference.labels, size), reference)


def test_number_of_devices_does_not_matter(
    model: LoadedModel, inputs: np.ndarray, reference: Predictions
) -> None:
    predict = build.predictor(model.network, [mx.cpu(0), mx.cpu(1), mx.cpu(2)])
    # Of the last batch one device gets nothing.
    assert_equal(answers(predict, inputs[:65], reference.labels[:65], 21), first(reference, 65))


def first(predictions: Predictions, number: int) -> Predictions:
    return Predictions(*(array[:number] for array in predictions))


SLOW_SIZES = [pytest.param(size, marks=pytest.mark.slow) for size in (1, 64, NUM_IMAGES)]


@pytest.mark.parametrize("size", [7, *SLOW_SIZES])
def test_plain_gluon_gives_the_same(
    model: LoadedModel, inputs: np.ndarray, reference: Predictions, size: int
) -> None:
    def predict(data: np.ndarray) -> np.ndarray:
        return model.network(mx.nd.array(data)).asnumpy()

    assert_equal(answers(predict, inputs, reference.labels, size), reference)


@pytest.mark.parametrize("size", [1, 7, 64, NUM_IMAGES])
def test_onnx_runtime_gives_the_same(
    onnx_path: Path, inputs: np.ndarray, reference: Predictions, size: int
) -> None:
    predict = open_model(onnx_path).predict
    assert_equal(answers(predict, inputs, reference.labels, size), reference)


def test_onnx_file_knows_its_preprocessing(
    onnx_path: Path, images: ValidationSet, reference: Predictions
) -> None:
    assert_equal(validate(open_model(onnx_path), images).predictions, reference)


def test_mxnets_own_onnx_importer_gives_the_same(
    onnx_path: Path, inputs: np.ndarray, reference: Predictions
) -> None:
    predict = open_model(onnx_path, engine="mxnet").predict
    found = answers(predict, inputs[:100], reference.labels[:100], 50)
    assert_equal(found, first(reference, 100))
