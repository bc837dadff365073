"""Makes what the documents take from the code: pages, the tables of design.md and its picture.

`make docs` runs it on this folder; a test holds the pages in the repository against it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Iterator, Sequence

import rooms

from mobilenet import build, files, settings
from mobilenet.network.complexity import complexity
from mobilenet.network.graph_forms import symbol_of
from mobilenet.published_accuracies import PUBLISHED, Published
from mobilenet.settings.recipe_comment import recipe_comment
from mobilenet.settings.schema import Config

CONFIGS = Path(__file__).parent.parent / "configs"

CONFIGURATION = """# Configuration reference

For everyone who writes or changes a YAML file.

A run is described by one YAML file: `python train.py FILE.yaml`. What a file does not say takes
the default below. `key.sub=value` on the command line replaces a setting of the file. Unknown,
repeated, mistyped and out-of-range settings are refused with file and line, and so are settings
that would have no effect. A run folder holds its complete configuration in `config.yaml`.

This page is made from the files in `mobilenet/settings/` by `make docs`.
"""

RECIPES = """# Recipes and published figures

For readers who choose a recipe for ImageNet, or want to know how good MobileNet v2 can be.

## Recipes

The files in `configs/imagenet/`. The first line of each is the command that trains it, with the
hardware it is meant for. Published accuracies are those of the source, in percent, on the 50,000
validation images of ILSVRC2012; what this package itself has reached is in [results](results.md).
`python validate.py RUN --expect published` compares a run with the figures of the next section.
A file without a source is no recipe but describes weights that come from elsewhere.
"""

FIGURES = """
## Published figures

What others report for MobileNet v2, in percent, one centre crop, as in
`mobilenet/published_accuracies.py`.
The first row of each dialect and size is the one that `--expect published` takes.
"""


def configuration() -> str:
    """The reference of every setting."""
    return CONFIGURATION + "\n".join(_settings())


def _settings() -> Iterator[str]:
    for setting in settings.documentation(Config):
        if "." not in setting.key:
            yield f"\n## {setting.key}\n\n{_flat(setting.docstring)}\n"
            yield _row(("Setting", "Accepts", "Default", "Meaning"))
            yield _row(["---"] * 4)
        else:
            default = f"`{setting.default}`"
            yield _row((f"`{setting.key}`", setting.type, default, _flat(setting.docstring)))
    yield ""


def recipes() -> str:
    """The recipes and the published figures."""
    columns = ("Recipe", "Pixels", "Epochs x batch", "Highest rate", "Parameters", "Multiply-adds")
    rows = [(*columns, "Published top-1 / top-5", "Source")]
    rows += map(_recipe, sorted((CONFIGS / "imagenet").glob("*.yaml")))
    figures = [("Dialect", "Width", "Pixels", "Top-1", "Top-5", "Training", "Source")]
    return "\n".join([RECIPES, *_table(rows), FIGURES, *_table(figures + _figures()), ""])


def _recipe(path: Path) -> tuple[str, ...]:
    config = settings.load(Config, path)
    cost = complexity(symbol_of(build.network(config)), config.data.resolution)
    training, schedule = config.training, config.schedule
    comment = recipe_comment(path)
    published = re.match(r"[\d.]+ / \d+\.\d+", comment.published)
    aim = re.match(r"top-1 ((?:of|above) [\d.]+), a guess", comment.aim)
    return (
        f"`{path.stem}`",
        str(config.data.resolution),
        f"{training.epochs} x {training.batch_size}",
        f"{schedule.learning_rate:g}, {schedule.name}",
        f"{cost.num_parameters:,}",
        f"{cost.multiply_adds / 1e6:.1f} M",
        published[0] if published else f"none; aim {aim[1]}, never run" if aim else "",
        comment.source.removesuffix("."),
    )


def _figures() -> list[tuple[str, ...]]:
    return [_figure(row) for row in sorted(PUBLISHED, key=_size)]


def _size(row: Published) -> tuple[str, float, int]:
    return row.dialect, -row.width_multiplier, -row.resolution


def _figure(row: Published) -> tuple[str, ...]:
    size = (row.dialect, f"{row.width_multiplier:g}", str(row.resolution))
    accuracies = (f"{round(100 * value, 4):g}" for value in (row.top1, row.top5))
    return (*size, *accuracies, row.recipe.name, row.recipe.source)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    return [_row(head), _row(["---"] * len(head)), *map(_row, body)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _design() -> str:
    """The page about the design, with the tables of the rooms made anew."""
    text = (Path(__file__).parent / "design.md").read_text(encoding="utf-8")
    before, begin, rest = text.partition("<!-- made from the code -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    assert end, "design.md has lost the lines between which the tables are"
    return f"{before}{begin}\n{rooms.tables()}\n\n{end}{after}"


def _flat(text: str) -> str:
    return " ".join(text.split())


def main(folder: Path) -> None:
    """Writes the pages into `folder`."""
    files.write_text(folder / "configuration.md", configuration())
    files.write_text(folder / "recipes.md", recipes())
    files.write_text(folder / "api.md", rooms.api())
    files.write_text(folder / "design.md", _design())
    files.write_text(folder / "pictures" / "rooms.svg", rooms.picture())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
