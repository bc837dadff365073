"""The table of names against the libraries that publish them, and the published accuracies."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from mobilenet.errors import WeightsError
from mobilenet.pretrained.published_weights import (
    PUBLISHED_WEIGHTS,
    config_of,
    find,
    published_at,
)
from mobilenet.published_accuracies import published


def digests_in(package: str, *places: str) -> dict[str, str]:
    """The table `_model_sha1` in a library's source, which takes seconds to import."""
    spec = importlib.util.find_spec(package)
    assert spec and spec.origin
    path = Path(spec.origin).parent.joinpath(*places)
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "_model_sha1":
            pairs = statement.value.generators[0].iter  # type: ignore[attr-defined]
            return {name: digest for digest, name in ast.literal_eval(pairs)}
    raise LookupError(path)


@pytest.mark.parametrize(
    ("owner", "places"),
    [("mxnet", ("gluon", "model_zoo")), ("gluoncv", ("model_zoo",))],
)
def test_digests_are_those_of_the_installed_libraries(owner: str, places: tuple[str, ...]) -> None:
    theirs = digests_in(owner, *places, "model_store.py")
    ours = [weights for weights in PUBLISHED_WEIGHTS if weights.owner == owner]
    assert len(ours) == 4
    for weights in ours:
        assert weights.digest == f"sha1:{theirs[weights.short_name]}"
        assert weights.file == f"{weights.short_name}-{theirs[weights.short_name][:8]}.params"


@pytest.mark.parametrize("weights", PUBLISHED_WEIGHTS, ids=lambda weights: weights.name)
def test_accuracies_are_among_the_published_ones(weights) -> None:  # type: ignore[no-untyped-def]
    config = config_of(weights)
    model, pixels = config.model, config.data.resolution
    size = (model.dialect, model.width_multiplier, pixels, model.depth_multiplier)
    known = {(row.top1, row.top5) for row in published(*size)}
    # Files 10 and 12 of the ONNX model zoo are other files of torchvision's network.
    if weights.name not in ("onnx/mobilenetv2-10", "onnx/mobilenetv2-12"):
        assert (weights.top1, weights.top5) in known


def test_names_are_unique_and_complete() -> None:
    names = [weights.name for weights in PUBLISHED_WEIGHTS]
    assert len(set(names)) == len(names) == 16
    assert all(find(name) is not None for name in names)


def test_a_near_name_is_told() -> None:
    with pytest.raises(WeightsError, match=r"did you mean 'gluoncv/mobilenetv2_1.0'"):
        find("gluoncv/mobilenet_v2_1.0")


def test_other_texts_are_no_names() -> None:
    for text in ("runs/imagenet", "net.params", "gluoncv", "gluoncv/runs/net.params", "/a/b"):
        assert find(text) is None


def test_a_folder_of_a_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gluoncv/mobilenetv2_1.0").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert published_at("gluoncv/mobilenetv2_1.0") is None
