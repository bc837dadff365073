"""Reads training records at a resolution that grows from epoch to epoch.

Small images first take less time, and cost little accuracy if the last epochs see the full size
(Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019; ffcv's trainings of
ImageNet, 2022).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Iterator

from mobilenet.data.batch_reader import Batch, TrainReader


@dataclass
class GrowingReader(TrainReader):
    """A training reader whose resolution depends on the epoch; everything else stays the same.

    Attributes:
        resolutions: Pairs of the first epoch, from 0, and the resolution in pixels; both rise. The
            first pair begins with epoch 0.
    """

    resolutions: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, reader: TrainReader, resolutions: tuple[tuple[int, int], ...]) -> GrowingReader:
        """The reader, but with resolutions that grow."""
        return cls(**_given(reader), resolutions=resolutions)

    def resolution(self, epoch: int) -> int:
        """Height and width in pixels of an epoch's images."""
        return max(pixels for first, pixels in self.resolutions if first <= epoch)

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from step `first_step` on; both count from 0.

        Raises:
            DataError: As for `TrainReader.batches`.
        """
        transform = dataclasses.replace(self.transform, resolution=self.resolution(epoch))
        reader = TrainReader(**{**_given(self), "transform": transform})
        reader.bad_records = self.bad_records
        return reader.batches(epoch, first_step)


def _given(reader: TrainReader) -> dict[str, Any]:
    """What the reader was made of."""
    names = (made.name for made in dataclasses.fields(TrainReader) if made.init)
    return {name: getattr(reader, name) for name in names}
