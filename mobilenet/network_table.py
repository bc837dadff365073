"""A table of networks by width and resolution: parameters, multiply-adds, published accuracies."""

from __future__ import annotations

from typing import Any, Iterable, NamedTuple, Sequence

from mobilenet.network.architecture import DIALECTS, MobileNetV2
from mobilenet.network.complexity import Complexity, complexity
from mobilenet.network.graph_forms import symbol_of
from mobilenet.published_accuracies import Published, published

WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
RESOLUTIONS = (96, 128, 160, 192, 224)


class Size(NamedTuple):
    """A network of 1000 classes, with its published accuracies, the usual target first."""

    dialect: str
    width_multiplier: float
    resolution: int
    cost: Complexity
    accuracies: tuple[Published, ...]
    depth_multiplier: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """The row as plain JSON."""
        accuracies = [
            {"top1": one.top1, "top5": one.top5, **one.recipe._asdict()} for one in self.accuracies
        ]
        return {**self._asdict(), "cost": self.cost._asdict(), "accuracies": accuracies}


def sizes(
    dialect: str = "paper",
    widths: Sequence[float] = WIDTHS,
    resolutions: Sequence[int] = RESOLUTIONS,
    depth: float = 1.0,
) -> list[Size]:
    """The networks of a dialect and depth multiplier, by increasing width and resolution."""
    rows = []
    for width in widths:
        network = MobileNetV2(width, dialect=DIALECTS[dialect], depth_multiplier=depth)
        symbol = symbol_of(network)
        for resolution in resolutions:
            accuracies = published(dialect, width, resolution, depth)
            cost = complexity(symbol, resolution)
            rows.append(Size(dialect, width, resolution, cost, accuracies, depth))
    return rows


def table(rows: Iterable[Size]) -> str:
    """The networks as lines of text."""
    head = f"{'width':>5}{'px':>5}{'parameters':>12}{'multiply-adds':>18}{'activations':>15}"
    lines = [f"{head}{'top-1 %':>9}{'top-5 %':>9}  source"]
    for size in rows:
        cost = size.cost
        line = (
            f"{size.width_multiplier:5g}{size.resolution:5}{cost.num_parameters:12,}"
            f"{cost.multiply_adds:18,}{cost.activations:15,}"
        )
        lines.append(line + _accuracy(size.accuracies))
    return "\n".join(lines)


def _accuracy(accuracies: Sequence[Published]) -> str:
    if not accuracies:
        return f"{'-':>9}{'-':>9}"
    first, *others = accuracies
    more = f" (and {len(others)} more: --json)" if others else ""
    return f"{100 * first.top1:9.2f}{100 * first.top5:9.2f}  {first.recipe.source}{more}"
