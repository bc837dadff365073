"""What the comment at the head of a recipe says about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilenet.settings.recipe_comment import RecipeComment, recipe_comment

COMMAND, HARDWARE = "# python train.py configs/x.yaml data.directory=d\n", "# Hardware: 2 cores.\n"
SOURCE = "# Source: a paper: batch 256,\n#   and a README.\n"


def read(folder: Path, text: str) -> RecipeComment:
    path = folder / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return recipe_comment(path)


@pytest.mark.parametrize(
    ("aim", "goal"),
    [
        ("# Aim: top-1 of 61.5,\n#   a guess.\n", "Aim: top-1 of 61.5, a guess."),
        ("# Published top-1 / top-5: 52.3 / 75.9.\n", "Published top-1 / top-5: 52.3 / 75.9."),
        ("# Published for others: 71.8 / 91.0.\n", ""),
    ],
)
def test_each_label_is_read_with_the_indented_lines_that_continue_it(
    tmp_path: Path, aim: str, goal: str
) -> None:
    settings = "model:\n  classes: 20\n# Hardware: not at the head\n"
    text = f"{COMMAND}{HARDWARE}{SOURCE}{aim}# A remark.\n{settings}"
    comment = read(tmp_path, text)
    assert comment.command == "python train.py configs/x.yaml data.directory=d"
    assert (comment.hardware, comment.source) == ("2 cores.", "a paper: batch 256, and a README.")
    assert comment.goal == goal


@pytest.mark.parametrize("text", ["", "model:\n  classes: 20\n# Aim: not at the head\n"])
def test_a_file_without_a_comment_says_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == RecipeComment("", "", "", "", "")
