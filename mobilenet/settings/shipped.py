"""Finds the configurations that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Union

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


def _by_name() -> list[tuple[str, Path]]:
    """Every recipe by its name, with and without its folder."""
    found = []
    for path in sorted(_RECIPES.rglob("*.yaml")):
        name = str(path.relative_to(_RECIPES).with_suffix(""))
        found += [(name, path), (path.stem, path)]
    return found
