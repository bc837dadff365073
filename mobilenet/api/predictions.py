"""Predictions for images, which notebooks show as pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Sequence, Union, overload

from mobilenet.data.image_decoding import decode
from mobilenet.metrics import Guess
from mobilenet.notebook_figures import Tile, draw_tiles, png

_NUM_DRAWN = 10


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of one image, up to five, the most probable first."""

    image: str
    """The image's path, or its number among the given images."""
    guesses: tuple[Guess, ...]
    """`(label, name, probability)` of each class."""
    content: bytes = field(repr=False)
    """The encoded image."""

    @property
    def name(self) -> str:
        """The name of the most probable class."""
        return self.guesses[0].name

    @property
    def label(self) -> int:
        """The label of the most probable class."""
        return self.guesses[0].label

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return self.guesses[0].probability

    def __repr__(self) -> str:
        guesses = ", ".join(f"{100 * g.probability:.1f} % {g.name}" for g in self.guesses)
        return f"{self.image}: {guesses}"

    def _repr_png_(self) -> bytes:
        return Predictions([self])._repr_png_()

    def tile(self) -> Tile:
        """The image and its classes, for drawing."""
        guesses = [(guess.name, guess.probability) for guess in self.guesses]
        return Tile(decode(self.content), self.image, guesses)


class Predictions(Sequence[Prediction]):
    """The predictions for several images, in their order."""

    def __init__(self, items: Sequence[Prediction]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, place: int) -> Prediction: ...

    @overload
    def __getitem__(self, place: slice) -> Predictions: ...

    def __getitem__(self, place: Union[int, slice]) -> Union[Prediction, Predictions]:
        found = self._items[place]
        return found if isinstance(found, Prediction) else Predictions(found)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._items))

    def _repr_png_(self) -> bytes:
        tiles = [item.tile() for item in self._items[:_NUM_DRAWN]]
        return png(lambda path: draw_tiles(tiles, path))
