"""An exponential moving average of the weights and running statistics of a network."""

from __future__ import annotations

from typing import Mapping

import mxnet as mx

# MXNet's operators on several arrays take at most 60 (MXNET_OPTIMIZER_AGGREGATION_SIZE).
_MAX_ARRAYS = 60


class MovingAverage:
    """The exponential moving average of `arrays` (float32), which training changes in place.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that the random start soon has
    no weight, as in tf.train.ExponentialMovingAverage with `num_updates`.
    """

    def __init__(self, arrays: Mapping[str, mx.nd.NDArray], decay: float) -> None:
        self._arrays = arrays
        self._decay = decay
        self.averages = {name: array.copy() for name, array in arrays.items()}

    def update(self, num_updates: int, gradient_norm: mx.nd.NDArray) -> None:
        """Updates the average with the arrays after a step.

        The norm makes MXNet's engine wait for the backward pass, which on CPUs writes the running
        statistics without the engine's knowledge.

        Args:
            num_updates: Number of earlier updates.
            gradient_norm: `(1,)`, of the gradient of all parameters; finite.
        """
        decay = min(self._decay, (1 + num_updates) / (10 + num_updates))
        rate = 0 * gradient_norm - (1 - decay)
        names = list(self.averages)
        for start in range(0, len(names), _MAX_ARRAYS):
            self._update_some(names[start : start + _MAX_ARRAYS], rate)

    def _update_some(self, names: list[str], rate: mx.nd.NDArray) -> None:
        """Updates many arrays by one operator, which takes a tenth of the time to queue.

        SGD computes w - lr (g + wd w). With the array as g, wd = -1 and lr = `rate` = decay - 1
        that is the average.
        """
        averages = [self.averages[name] for name in names]
        pairs = [array for name in names for array in (self.averages[name], self._arrays[name])]
        rates = rate.broadcast_to((len(names),))
        decays = mx.nd.full((len(names),), -1.0, ctx=rate.context)
        mx.nd.preloaded_multi_sgd_update(
            *pairs, rates, decays, num_weights=len(names), out=averages
        )

    def restore(self, averages: Mapping[str, mx.nd.NDArray]) -> None:
        """Restores saved averages."""
        for name, array in averages.items():
            array.copyto(self.averages[name])
