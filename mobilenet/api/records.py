"""`mobilenet.prepare`: packs images into record files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mobilenet import build, settings
from mobilenet.api.setting_overrides import overrides_of
from mobilenet.data.manifest import Manifest
from mobilenet.data.synset import names_of_classes, read_synset, spoken_names
from mobilenet.notebook_figures import draw_batch, png
from mobilenet.packing.prepare import PrepareOptions
from mobilenet.packing.prepare import prepare as pack
from mobilenet.quickstart import sample_images
from mobilenet.settings.schema import Config
from mobilenet.settings.shipped import shipped

_NUM_SHOWN = 16


class AugmentedImages:
    """Randomly augmented images, which notebooks show as a picture."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __repr__(self) -> str:
        data = self._config.data
        return f"images of {os.path.relpath(data.directory)}, at {data.resolution} px"

    def _repr_png_(self) -> bytes:
        config = self._config
        batch = next(build.train_reader(config).batches(epoch=0)).rows(slice(_NUM_SHOWN))
        names = spoken_names(
            names_of_classes(read_synset(Path(config.data.directory)), config.model.classes)
        )
        return png(lambda path: draw_batch(batch, build.normalization(config), names, path))


class Records:
    """A folder of record files, for `data` of `train` and `Model.validate`.

    Attributes:
        folder: The folder.
        num_classes: Number of classes.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.num_classes = folder, manifest.num_classes
        self._manifest = manifest

    def augmented(self, config: str | Path, **changes: Any) -> AugmentedImages:
        """The first training images, augmented; takes the arguments of `train`."""
        overrides = [*overrides_of(changes), f"data.directory={self.folder.absolute()}"]
        return AugmentedImages(settings.load(Config, shipped(config), overrides))

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return self._manifest.summary()


def prepare(
    source: str | Path | None, output: str | Path, *, num_sample_images: int = 800, **options: Any
) -> Records:
    """Packs images into record files in the folder `output`; does nothing if they are there.

    Args:
        source: A folder with a folder of images per class, with or without folders `train` and
            `val` around them; an archive of such a folder; or ILSVRC2012's tars. None is a sample
            of ten classes, whose images are drawn into the folder `images` beside `output`.
        output: A new folder, or the output of an earlier call.
        num_sample_images: Number of training images per class in the sample.
        **options: As for `mobilenet prepare`, for instance `short_side=256`, `minival=10`.

    Raises:
        DataError: The source cannot be packed, or the folder contains something else.
    """
    output = Path(output)
    if source is None:
        source = sample_images(output.with_name("images"), num_sample_images)
    return Records(output, pack(PrepareOptions(Path(source), output, **options)))
