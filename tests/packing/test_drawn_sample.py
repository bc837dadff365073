"""The sample data: complete, repeatable, and undecided for whoever sees only half of a class."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, NamedTuple, Tuple

import cv2
import mxnet as mx
import numpy as np
import numpy.typing as npt
import pytest
from mxnet import autograd, gluon
from mxnet.gluon import nn

from mobilenet.errors import DataError
from mobilenet.packing import drawn_sample
from mobilenet.packing.drawn_sample import CLASSES, draw, write_sample

Pictures = npt.NDArray[np.uint8]
Numbers = npt.NDArray[Any]

COLOURS, SHAPES = zip(*(name.split("-") for name in CLASSES))
SIZE = 64


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def decoded(content: bytes) -> Pictures:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("small") / "sample"
    write_sample(directory, num_train_per_class=3, num_val_per_class=2, size=SIZE, seed=7)
    return contents(directory)


# --- the files


def test_every_class_has_its_folders_and_the_asked_number_of_jpegs(small: dict[str, bytes]) -> None:
    counts = Counter(name.rsplit("/", 1)[0] for name in small)
    assert counts == {
        f"{split}/{name}": num for split, num in (("train", 3), ("val", 2)) for name in CLASSES
    }
    for name, content in small.items():
        assert name.endswith(".jpg")
        assert content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9"), name
        assert decoded(content).shape == (SIZE, SIZE, 3)


def test_labels_are_ranks_of_folder_names() -> None:
    assert list(CLASSES) == sorted(set(CLASSES))
    assert len(CLASSES) == 10


def test_same_seed_same_bytes(small: dict[str, bytes], tmp_path: Path) -> None:
    write_sample(tmp_path / "again", 3, 2, SIZE, seed=7)
    assert contents(tmp_path / "again") == small


def test_a_larger_set_contains_the_smaller(small: dict[str, bytes], tmp_path: Path) -> None:
    write_sample(tmp_path / "larger", 4, 3, SIZE, seed=7)
    assert contents(tmp_path / "larger").items() > small.items()


def test_no_picture_occurs_twice_within_or_across_splits_and_seeds(
    small: dict[str, bytes], tmp_path: Path
) -> None:
    write_sample(tmp_path / "other", 3, 2, SIZE, seed=8)
    pictures = [decoded(c) for c in (*small.values(), *contents(tmp_path / "other").values())]
    for one, other in itertools.combinations(pictures, 2):
        assert np.abs(one.astype(int) - other).mean() > 1


def test_interrupted_drawing_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = itertools.count()

    def interrupted(*arguments: Any) -> Pictures:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return draw(*arguments)

    monkeypatch.setattr(drawn_sample, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / "sample", 3, 2, SIZE, seed=7)
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    for occupied in (tmp_path, tmp_path / "precious"):
        with pytest.raises(DataError, match="already exists"):
            write_sample(occupied, 1, 1, SIZE, seed=7)
    assert contents(tmp_path) == {"precious": b"mine"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    write_sample(tmp_path, 1, 1, SIZE, seed=7)
    assert len(contents(tmp_path)) == 20


@pytest.mark.slow  # not for its time, but because it depends on the machine
def test_4000_pictures_take_less_than_15_seconds_of_one_processor(tmp_path: Path) -> None:
    start = time.process_time()
    write_sample(tmp_path / "sample", 20, 10, SIZE, seed=7)
    assert time.process_time() - start < 15 * 300 / 4000


# --- the classes


@pytest.mark.parametrize("halves", [SHAPES, COLOURS], ids=["shape", "colour"])
def test_no_rule_on_one_half_alone_is_right_more_than_half_of_the_time(
    halves: tuple[str, ...],
) -> None:
    kinds = sorted(set(halves))
    assert len(kinds) == 5
    seen = np.array([kinds.index(half) for half in halves])
    rules = np.array(list(itertools.product(range(10), repeat=5)))  # every rule: kind to class
    accuracies = (rules[:, seen] == np.arange(10)).mean(axis=1)
    assert accuracies.max() == 0.5


def drawn(label: int, seed: int, size: int = 128) -> npt.NDArray[np.float64]:
    return draw(label, size, np.random.default_rng(seed)).astype(float)


def twins(halves: tuple[str, ...]) -> list[tuple[int, int]]:
    """The five pairs of classes that share this half."""
    pairs = itertools.combinations(range(10), 2)
    return [(one, other) for one, other in pairs if halves[one] == halves[other]]


def covered_by_object(label: int, seed: int) -> npt.NDArray[np.bool_]:
    """Where the picture changes when its object, and nothing else, has another colour."""
    (twin,) = {label} ^ next({*pair} for pair in twins(SHAPES) if label in pair)
    difference = np.abs(drawn(label, seed) - drawn(twin, seed)).max(axis=2)
    return difference > difference.max() / 2


@pytest.mark.parametrize("seed", range(10))
def test_grey_pictures_of_a_shape_are_the_same_in_both_colours(seed: int) -> None:
    for one, other in twins(SHAPES):
        difference = drawn(one, seed) - drawn(other, seed)
        assert np.abs(difference).max() > 50
        grey = difference @ (0.299, 0.587, 0.114)
        assert np.abs(grey).mean() < 0.5  # rounding; sensor noise at the ends of the range
        assert abs(grey.mean()) < 0.1


@pytest.mark.parametrize("seed", range(10))
def test_all_shapes_cover_the_same_area(seed: int) -> None:
    areas = [covered_by_object(label, seed).mean() for label in range(10)]
    assert min(areas) > 0.14
    assert max(areas) < 0.34
    assert max(areas) / min(areas) < 1.04


# --- what a classifier makes of them


class Split(NamedTuple):
    pictures: Pictures
    labels: npt.NDArray[np.int64]


Data = Tuple[Split, Split]  # training, validation
View = Callable[[Pictures], Numbers]


def read(directory: Path, split: str) -> Split:
    files = sorted((directory / split).rglob("*.jpg"))
    pictures = np.stack([decoded(path.read_bytes()) for path in files])
    return Split(pictures, np.array([CLASSES.index(path.parent.name) for path in files]))


def made(directory: Path, num_train_per_class: int) -> Data:
    write_sample(directory / "sample", num_train_per_class, 60, SIZE, seed=7)
    return read(directory / "sample", "train"), read(directory / "sample", "val")


def grey(pictures: Pictures) -> Numbers:
    """Luma at half the resolution, every picture with mean 0 and variance 1: (N, 1, 32, 32)."""
    num, size = pictures.shape[:2]
    halved = pictures.reshape(num, size // 2, 2, size // 2, 2, 3).mean(axis=(2, 4))
    luma = (halved @ (0.299, 0.587, 0.114)).astype(np.float32)
    luma -= luma.mean(axis=(1, 2), keepdims=True)
    return (luma / luma.std(axis=(1, 2), keepdims=True))[:, np.newaxis]


def histogram(pictures: Pictures) -> Numbers:
    """How often each of 8 x 8 x 8 colours occurs, wherever in the picture: (N, 512)."""
    colours = pictures.reshape(len(pictures), -1, 3) // 32 @ (64, 8, 1)
    counts = np.stack([np.bincount(row, minlength=512) for row in colours])
    return np.sqrt(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)


def convolutional() -> nn.HybridSequential:
    network = nn.HybridSequential()
    for channels, stride in ((16, 2), (32, 2), (64, 1)):
        network.add(nn.Conv2D(channels, 3, stride, 1), nn.BatchNorm(), nn.Activation("relu"))
    network.add(nn.GlobalAvgPool2D(), nn.Dense(10))
    return network


def perceptron() -> nn.HybridSequential:
    network = nn.HybridSequential()
    network.add(nn.Dense(128, "relu"), nn.Dropout(0.5), nn.Dense(10))
    return network


def fit(network: nn.HybridSequential, inputs: Numbers, labels: Numbers, epochs: int) -> None:
    mx.random.seed(1)
    rng = np.random.default_rng(1)
    network.initialize(mx.init.Xavier())
    network.hybridize(static_alloc=True)
    trainer = gluon.Trainer(network.collect_params(), "adam")
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    for epoch in range(epochs):
        trainer.set_learning_rate(0.01 * (1 - epoch / epochs))
        for batch in rng.permutation(len(labels)).reshape(-1, 50):
            seen = inputs[batch]
            if seen.ndim == 4:
                seen = seen[..., :: rng.choice((-1, 1))]
            with autograd.record():
                losses = loss(network(mx.nd.array(seen)), mx.nd.array(labels[batch]))
            losses.backward()
            trainer.step(len(batch))


def chances(network: nn.HybridSequential, view: View, data: Data, epochs: int) -> Numbers:
    """What a network that sees this view takes each validation picture for: (N, 10)."""
    train, val = data
    fit(network, view(train.pictures), train.labels, epochs)
    return mx.nd.softmax(network(mx.nd.array(view(val.pictures)))).asnumpy()


def accuracy(answers: Numbers, truths: Numbers, kinds: tuple[str, ...] = CLASSES) -> float:
    return float((np.array(kinds)[answers.argmax(axis=1)] == np.array(kinds)[truths]).mean())


def test_networks_that_see_shape_or_colour_alone_fail_and_together_succeed(tmp_path: Path) -> None:
    data = made(tmp_path, num_train_per_class=150)
    truths = data[1].labels
    by_shape = chances(convolutional(), grey, data, epochs=8)
    assert accuracy(by_shape, truths, SHAPES) > 0.9
    assert 0.3 < accuracy(by_shape, truths) < 0.6
    by_colour = chances(perceptron(), histogram, data, epochs=15)
    assert accuracy(by_colour, truths, COLOURS) > 0.95
    assert 0.3 < accuracy(by_colour, truths) < 0.6
    assert accuracy(by_shape * by_colour, truths) > 0.85


@pytest.mark.slow
def test_no_network_gets_more_out_of_much_data(tmp_path: Path) -> None:
    much_data = made(tmp_path, num_train_per_class=1000)
    truths = much_data[1].labels
    assert accuracy(chances(convolutional(), grey, much_data, epochs=15), truths) < 0.6
    assert accuracy(chances(perceptron(), histogram, much_data, epochs=30), truths) < 0.6
