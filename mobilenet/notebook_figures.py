"""Draws what notebooks show, as PNG files: training batches, predictions, mistakes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Sequence

import numpy as np

from mobilenet import files
from mobilenet.data.batch_reader import Batch
from mobilenet.data.eval_transforms import Normalization
from mobilenet.data.image_decoding import Pixels, decode
from mobilenet.data.synset import spoken_names
from mobilenet.validation.validate import Validation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 80
_NUM_COLUMNS = 2
_ROW_INCHES = 1.35


class Tile(NamedTuple):
    """An image with its most probable classes and their probabilities, best first."""

    pixels: Pixels
    title: str
    guesses: Sequence[tuple[str, float]]


def draw_mistakes(validation: Validation, path: Path, number: int = 6) -> None:
    """Draws the wrong predictions of highest confidence, as `draw_tiles` does."""
    predictions, names = validation.predictions, spoken_names(validation.data.class_names)
    wrong = np.flatnonzero(predictions.ranks).tolist()
    surest = sorted(wrong, key=lambda place: -predictions.probabilities[place, 0])[:number]
    tiles = []
    for place in surest:
        classes = predictions.classes[place].tolist()
        probabilities = predictions.probabilities[place].tolist()
        guesses = [(names[label], p) for label, p in zip(classes, probabilities)]
        title = f"labelled {names[int(predictions.labels[place])]}"
        tiles.append(Tile(decode(validation.data.image(place)), title, guesses))
    draw_tiles(tiles, path)


def draw_batch(
    batch: Batch, normalization: Normalization, class_names: Sequence[str], path: Path
) -> None:
    """Draws the images of a training batch, as augmented, with the names of their labels."""
    num_columns = 8
    num_rows = -(-len(batch.labels) // num_columns)
    figure = _figure(10, _ROW_INCHES * num_rows)
    mean, std = (np.reshape(part, (3, 1, 1)) for part in (normalization.mean, normalization.std))
    images = np.clip(batch.data * std + mean, 0, 1).transpose(0, 2, 3, 1)
    axes = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for place in axes:
        place.axis("off")
    for place, image, label in zip(axes, images, batch.labels.tolist()):
        place.imshow(image)
        place.set_title(class_names[label], fontsize=8)
    _save(figure, path)


def draw_tiles(tiles: Sequence[Tile], path: Path) -> None:
    """Draws images beside bars of the probabilities of their classes into the PNG file `path`."""
    num_rows = max(1, -(-len(tiles) // _NUM_COLUMNS))
    figure = _figure(10, _ROW_INCHES * num_rows)
    shape = {"width_ratios": [1, 2] * _NUM_COLUMNS}
    axes = figure.subplots(num_rows, 2 * _NUM_COLUMNS, squeeze=False, gridspec_kw=shape).ravel()
    for place in axes:
        place.axis("off")
    for (left, right), tile in zip(zip(axes[::2], axes[1::2]), tiles):
        left.imshow(tile.pixels)
        left.set_title(tile.title, fontsize=8)
        _draw_bars(right, tile.guesses)
    _save(figure, path)


def _draw_bars(axes: Axes, guesses: Sequence[tuple[str, float]]) -> None:
    places = range(len(guesses))
    axes.barh(places, [probability for _, probability in guesses], color="C0", alpha=0.5)
    for place, (name, probability) in zip(places, guesses):
        axes.text(0.01, place, f"{probability:.1%}  {name}", va="center", fontsize=8)
    axes.set(xlim=(0, 1), ylim=(len(guesses) - 0.5, -0.5))


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to load

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    with files.replaced(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def png(draw: Callable[[Path], object]) -> bytes:
    """The PNG file that `draw` writes, as Jupyter's `_repr_png_` returns it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.png")
        draw(path)
        return path.read_bytes()
