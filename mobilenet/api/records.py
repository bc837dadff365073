"""`mobilenet.prepare`: images packed into record files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mobilenet import settings
from mobilenet.api.changes import overrides_of
from mobilenet.api.pictures import png
from mobilenet.data.manifest import Manifest
from mobilenet.notebook_figures import draw_first_images
from mobilenet.packing.prepare import PrepareOptions
from mobilenet.packing.prepare import prepare as pack
from mobilenet.quickstart import sample_images
from mobilenet.settings.schema import Config
from mobilenet.settings.shipped import shipped

_NUM_SHOWN = 16


class AugmentedImages:
    """Images cropped, flipped and coloured at random as a configuration says; a picture."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __repr__(self) -> str:
        data = self._config.data
        return f"images of {os.path.relpath(data.directory)}, at {data.resolution} px"

    def _repr_png_(self) -> bytes:
        return png(lambda path: draw_first_images(self._config, _NUM_SHOWN, path))


class Records:
    """A folder of record files, as `data` of `train` and of `Model.validate`.

    Attributes:
        folder: Where they are.
        num_classes: Number of their classes.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.num_classes = folder, manifest.num_classes
        self._manifest = manifest

    def augmented(self, config: str | Path, **changes: Any) -> AugmentedImages:
        """The first images of the first epoch as training sees them; takes what `train` takes."""
        overrides = [*overrides_of(changes), f"data.directory={self.folder.absolute()}"]
        return AugmentedImages(settings.load(Config, shipped(config), overrides))

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return self._manifest.summary()


def prepare(
    source: str | Path | None, output: str | Path, *, num_sample_images: int = 800, **options: Any
) -> Records:
    """Packs images into record files in the folder `output`; does nothing if that has been done.

    Args:
        source: A folder with a folder of images per class, with or without `train` and `val` around
            them, or an archive of one; ILSVRC2012's tars. None is the sample that comes with the
            package, ten classes of drawn images, which are drawn into the folder `images` beside
            `output`.
        output: A new folder, or one that this was done in before.
        num_sample_images: Training images of each class of that sample.
        **options: As of `mobilenet prepare`, for instance `short_side=256`, `minival=10`.

    Raises:
        DataError: The source cannot be packed, or the folder holds something else.
    """
    output = Path(output)
    if source is None:
        source = sample_images(output.with_name("images"), num_sample_images)
    return Records(output, pack(PrepareOptions(Path(source), output, **options)))
