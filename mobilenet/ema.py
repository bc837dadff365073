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

    def update(self, num_updates: int, gradient_norm: mx.nd.NDArray) -> None:
        """Takes in the arrays as they are after the step with the given norm `(1,)`.

        The norm is what waits for the backward pass: on CPUs this writes the running statistics
        without the engine's knowledge, which would let them be read too early.

        Args:
            num_updates: Number of earlier updates.
            gradient_norm: Of the gradient of all parameters, finite.
        """
        decay = min(self._decay, (1 + num_updates) / (10 + num_updates))
        share = 0 * gradient_norm + (1 - decay)
        for name, array in self._arrays.items():
            self.averages[name] *= decay
            self.averages[name] += share.reshape((1,) * array.ndim) * array

    def restore(self, averages: Mapping[str, mx.nd.NDArray]) -> None:
        """Takes over what `averages` once was."""
        for name, array in averages.items():
            array.copyto(self.averages[name])
