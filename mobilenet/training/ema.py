"""An exponential moving average of the weights and running statistics of a network."""

from __future__ import annotations

from typing import Mapping

import mxnet as mx

# MXNet's operators on several arrays take 60 at most (MXNET_OPTIMIZER_AGGREGATION_SIZE).
_MAX_ARRAYS = 60


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
        rate = 0 * gradient_norm - (1 - decay)
        names = list(self.averages)
        for start in range(0, len(names), _MAX_ARRAYS):
            self._update_some(names[start : start + _MAX_ARRAYS], rate)

    def _update_some(self, names: list[str], rate: mx.nd.NDArray) -> None:
        """Many arrays in one operator: a tenth of the time that one after the other takes to queue.

        SGD makes w - lr (g + wd w) of w, that is the average for g the array, wd = -1 and the
        `rate` lr = decay - 1.
        """
        averages = [self.averages[name] for name in names]
        pairs = [array for name in names for array in (self.averages[name], self._arrays[name])]
        rates = rate.broadcast_to((len(names),))
        decays = mx.nd.full((len(names),), -1.0, ctx=rate.context)
        mx.nd.preloaded_multi_sgd_update(
            *pairs, rates, decays, num_weights=len(names), out=averages
        )

    def restore(self, averages: Mapping[str, mx.nd.NDArray]) -> None:
        """Takes over what `averages` once was."""
        for name, array in averages.items():
            array.copyto(self.averages[name])
