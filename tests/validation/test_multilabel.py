"""Several right classes per image: counting, and files that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from mobilenet.errors import DataError
from mobilenet.metrics import score
from mobilenet.validation.multilabel import count, read_label_sets


def test_any_of_the_labels_is_right_and_images_without_do_not_count() -> None:
    logits = np.zeros((4, 8), np.float32)
    logits[:, :6] = [6, 5, 4, 3, 2, 1]  # answers 0, 1, 2, 3, 4
    predictions = score(logits, np.zeros(4, np.int32))
    sets = [frozenset(labels) for labels in ([7, 0], [4, 6], [5, 7], [])]
    assert count(predictions, sets) == (3, 1, 2)


def test_with_one_label_each_it_is_the_ordinary_count() -> None:
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 20, 200)
    predictions = score(rng.normal(size=(200, 20)).astype(np.float32), labels)
    counts = predictions.counts()
    assert 0 < counts.num_top1 < counts.num_top5 < 200
    assert count(predictions, [frozenset([label]) for label in labels.tolist()]) == counts[:3]


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "real.json", [[3, 1], [], [2]])
    assert read_label_sets(path, np.array([1, 0, 2]), 4) == [{1, 3}, frozenset(), {2}]


@pytest.mark.parametrize(
    "content, message",
    [
        ("[[1], [", "is no JSON"),
        ({"a": [1]}, "must be a JSON list"),
        ([[1], 2, [3]], "must be a JSON list"),
        ([[1], [True], [2]], "must be a JSON list"),
        ([[1], [0.5], [2]], "must be a JSON list"),
        ([[1], [0]], "has labels of 2 images, but there are 3"),
        ([[1], [0, 4], [2]], "entry 1 has the label 4, but the model has 4 classes"),
        ([[1], [-1, 2], [2]], "entry 1 has the label -1"),
        ([[0], [1], [2]], "own label for only 1 of 3 images"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, content: object, message: str) -> None:
    path = write(tmp_path / "real.json", content)
    with pytest.raises(DataError, match=rf"real\.json: .*{message}"):
        read_label_sets(path, np.array([1, 0, 2]), 4)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: cannot be read: No such file"):
        read_label_sets(tmp_path / "none.json", np.array([1]), 4)


def test_brackets_without_end(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="is no JSON"):
        read_label_sets(tmp_path / "real.json", np.zeros(1, np.int64), 10)
