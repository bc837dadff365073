"""The report of a finished run, as Markdown."""

from __future__ import annotations

from typing import Mapping, Sequence

from mobilenet.runs.checkpoint import best_epoch
from mobilenet.runs.epoch_record import EpochRecord

_HEAD = (
    "| | epoch | training loss | training top-1 | loss | top-1 | top-5 |",
    "|---|---|---|---|---|---|---|",
)


def run_report(
    name: str, history: Sequence[EpochRecord], config: str, circumstances: Mapping[str, str]
) -> str:
    """The report of a run: best and last epoch, curves, circumstances, configuration.

    Args:
        name: Name of the run.
        history: Its epochs, at least one.
        config: Its configuration as YAML.
        circumstances: What else the result depends on, such as machine and versions, by name.
    """
    best, last = best_epoch(history), history[-1]
    lines = [
        f"# {name}",
        "",
        f"Top-1 accuracy {_percent(best.top1)}, top-5 {_percent(best.top5)} on the"
        f" {best.num_images} images of {best.split}.rec, in epoch {best.epoch} of {last.epoch}.",
        "",
        *_HEAD,
        *(_row(title, record) for title, record in (("best", best), ("last", last))),
        "",
        "![loss, error and learning rate by epoch](curves.png)",
        "",
        *(f"* {kind}: {value}" for kind, value in circumstances.items()),
        "",
        "```yaml",
        config.rstrip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _row(title: str, record: EpochRecord) -> str:
    values = (
        title,
        str(record.epoch),
        f"{record.train_loss:.3f}",
        _percent(record.train_top1),
        f"{record.loss:.3f}",
        _percent(record.top1),
        _percent(record.top5),
    )
    return f"| {' | '.join(values)} |"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
