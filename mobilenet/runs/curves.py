"""Draws the curves of runs: loss, error and learning rate by epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping, Sequence

from mobilenet import files
from mobilenet.runs.epoch_record import EpochRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Value = Callable[[EpochRecord], float]
_PANELS: dict[str, dict[str, _Value]] = {
    "loss": {"training": lambda r: r.train_loss, "validation": lambda r: r.loss},
    "error, %": {
        "training, top-1": lambda r: 100 * (1 - r.train_top1),
        "top-1": lambda r: 100 * (1 - r.top1),
        "top-5": lambda r: 100 * (1 - r.top5),
    },
    "learning rate": {"": lambda r: r.learning_rate},
}
_STYLES = {"training": ":", "training, top-1": ":", "top-5": "--"}


def draw_curves(histories: Mapping[str, Sequence[EpochRecord]], path: Path) -> None:
    """Draws the epochs of one or several runs, given by name, into the PNG file `path`."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to load

    figure = Figure(figsize=(15, 4.5))
    figure.subplots_adjust(left=0.04, right=0.99, wspace=0.15)
    for axes, (title, curves) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items()):
        _draw_panel(axes, curves, histories)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(visible=True, alpha=0.3)
    with files.replaced(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _draw_panel(
    axes: Axes, curves: Mapping[str, _Value], histories: Mapping[str, Sequence[EpochRecord]]
) -> None:
    for number, (name_, history) in enumerate(histories.items()):
        run = files.encoded(name_).decode()  # matplotlib accepts only valid text
        epochs = [record.epoch for record in history]
        for name, value in curves.items():
            axes.plot(
                epochs,
                [value(record) for record in history],
                _STYLES.get(name, "-"),
                color=f"C{number % 10}",
                marker="." if len(epochs) < 30 else "",
                label=f"{run} {name}".strip() if len(histories) > 1 else name,
            )
    if len(curves) * len(histories) > 1:
        axes.legend(fontsize="small")
