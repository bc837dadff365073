"""Finds the configurations that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Union

from mobilenet.settings.recipe_comment import recipe_comment

_PACKAGE = Path(__file__).parent.parent
_RECIPES = _PACKAGE / "configs"


def shipped(text: Union[str, Path]) -> Path:
    """The path of a configuration file, if there is none the one of that name in the package.

    So `configs/quickstart.yaml` is found from every folder, and without the repository. A recipe is
    also found by its name alone: `finetune`, `imagenet/mobilenetv2_0.5`, `mobilenetv2_0.5`.
    """
    path = Path(text)
    if path.is_file():
        return path
    inside = (_PACKAGE / path, *(recipe for name, recipe in _by_name() if name == str(text)))
    return next(filter(Path.is_file, inside), path)


def recipes() -> list[str]:
    """The names of all recipes in the package."""
    return sorted({name for name, _ in _by_name()})


def aims() -> dict[str, str]:
    """What each recipe is to reach, in the words of its comment, by its name with its folder."""
    comments = {path: recipe_comment(path) for path in sorted(_RECIPES.rglob("*.yaml"))}
    return {_name(path): comment.goal for path, comment in comments.items() if comment.goal}


def _by_name() -> list[tuple[str, Path]]:
    """Every recipe by its name, with and without its folder."""
    found = []
    for path in sorted(_RECIPES.rglob("*.yaml")):
        found += [(_name(path), path), (path.stem, path)]
    return found


def _name(path: Path) -> str:
    """Of a recipe, with its folder."""
    return str(path.relative_to(_RECIPES).with_suffix(""))
