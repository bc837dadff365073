"""The table of published accuracies: what must hold between its rows, and what is chosen."""

import itertools

import pytest

from mobilenet.errors import ConfigError
from mobilenet.network.architecture import DIALECTS
from mobilenet.published_accuracies import PUBLISHED, published, target


@pytest.mark.parametrize(
    "dialect, width, resolution, top1, top5",
    [
        ("origin", 1.0, 224, 0.7094, 0.8999),  # the model zoo's own table
        ("gluoncv", 1.0, 224, 0.7204, 0.9057),
        ("paper", 1.0, 224, 0.718, 0.910),  # the authors' checkpoints
        ("paper", 1.4, 224, 0.750, 0.925),
        ("paper", 0.35, 96, 0.455, 0.704),
        ("paper", 0.25, 224, 0.52352, 0.75932),
    ],
)
def test_target(dialect: str, width: float, resolution: int, top1: float, top5: float) -> None:
    row = target(dialect, width, resolution)
    assert (row.top1, row.top5) == (top1, top5)


def test_no_target_says_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"'gluoncv' of width 0.3 at 224 px.* 0.25 at 224 px"):
        target("gluoncv", 0.3, 224)


def test_rows_are_accuracies_of_known_dialects() -> None:
    for row in PUBLISHED:
        assert row.dialect in DIALECTS
        assert 0.4 < row.top1 < row.top5 < 1
        assert row.recipe.name and row.recipe.source
    assert len(set(PUBLISHED)) == len(PUBLISHED)


def test_within_a_recipe_more_work_is_more_accurate() -> None:
    # A slip of a digit in the table would break the order somewhere.
    def by_recipe(row):
        return row.dialect, row.recipe

    for _, rows in itertools.groupby(sorted(PUBLISHED, key=by_recipe), by_recipe):
        for one, other in itertools.permutations(list(rows), 2):
            sizes = [
                (row.width_multiplier, row.resolution, row.depth_multiplier) for row in (one, other)
            ]
            if all(ours <= theirs for ours, theirs in zip(*sizes)):
                assert one.top1 < other.top1 and one.top5 < other.top5


def test_published_lists_every_recipe() -> None:
    rows = published("paper", 1.0, 224)
    assert len(rows) == 10
    assert rows[0] == target("paper", 1.0, 224)
    assert published("paper", 1.0, 225) == ()
