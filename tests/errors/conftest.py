"""One small job, in folders whose names have spaces and letters of several scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobilenet import cli
from mobilenet.packing.drawn_sample import write_sample

CONFIG = """
model: {width_multiplier: 0.1, classes: 10}
data: {directory: Aufnahmen ü, resolution: 32}
validation: {short_side: 32, batch_size: 16}
schedule: {name: constant, learning_rate: 0.02}
training: {epochs: 1, batch_size: 12}
log: {every_steps: 1}
"""


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, records, a run and an ONNX file."""
    folder = tmp_path_factory.mktemp("errors") / "Bilder für Müll" / "日本 x"
    write_sample(folder / "die Bilder", 6, 2, size=32, seed=0)
    for split in ("train", "val"):
        (folder / "die Bilder" / split / "blue-cross").rename(
            folder / "die Bilder" / split / "blå kors"
        )
    (folder / "mein Lauf.yaml").write_text(CONFIG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for call in (
            ("prepare", "--source", "die Bilder", "--output", "Aufnahmen ü"),
            ("train", "mein Lauf.yaml", "--run", "der Lauf"),
            ("export", "der Lauf", "--output", "Netz ü 日.onnx"),
        ):
            assert cli.main(call) == 0
    return folder
