"""An exponential moving average of the weights and running statistics of a network."""

from __future__ import annotations

from typing import Mapping

import mxnet as mx


class MovingAverage:
    """The average of `arrays`, float32, which training changes in place, over its steps.

    Early on the decay is min(decay, (1 + n) / (10 + n)) after n updates, so that the random start
    is soon forgotten, as in tf.train.ExponentialMovingAverage with `num_updates`.
    """

    def __init__(self, arrays: Mapping[str, mx.nd.NDArray], decay: float) -> None:
        self._arrays = arrays
        self._decay = decay
        self.averages = {name: array.copy() for name, array in arrays.items()}

    def update(self, num_updates: int) -> None:
        """Takes in the arrays as they are after `num_updates` earlier updates."""
        decay = min(self._decay, (1 + num_updates) / (10 + num_updates))
        for name, array in self._arrays.items():
            self.averages[name] *= decay
            self.averages[name] += (1 - decay) * array

    def restore(self, averages: Mapping[str, mx.nd.NDArray]) -> None:
        """Takes over what `averages` once was."""
        for name, array in averages.items():
            array.copyto(self.averages[name])
