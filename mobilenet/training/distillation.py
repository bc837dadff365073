"""The loss of distillation: part from the labels, part from the answers of a teacher.

Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015, section 2:
softmaxes at a temperature, and the square of the temperature as a factor, which keeps the size of
the gradient. The defaults of the settings, nearly everything from the teacher at temperature 1, are
near those of Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR
2022, which leaves the labels out.
"""

from __future__ import annotations

from dataclasses import dataclass

import mxnet as mx
import numpy as np

from mobilenet.training.label_smoothing_cross_entropy import Targets, cross_entropy


@dataclass(frozen=True)
class Distillation:
    """How much of the loss is the teacher's.

    Attributes:
        weight: Part of the teacher in the loss, above 0 and at most 1.
        temperature: What logits are divided by before the softmax, above 0.
    """

    weight: float
    temperature: float = 1.0

    def targets(self, logits: Targets) -> Targets:
        """The teacher's probabilities at the temperature, from its logits; both `(N, classes)`."""
        scaled = logits.astype(np.float64) / self.temperature
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        total = exponentials.sum(axis=1, keepdims=True)
        probabilities: Targets = (exponentials / total).astype(np.float32)
        return probabilities

    def loss(
        self, logits: mx.nd.NDArray, targets: mx.nd.NDArray, taught: mx.nd.NDArray
    ) -> mx.nd.NDArray:
        """The loss of each image in nats, `(N,)`.

        It is weight * T^2 * KL(taught || softmax(logits / T)) + (1 - weight) * the cross-entropy
        against `targets`, at the temperature T.

        Args:
            logits: Of the network, `(N, classes)`.
            targets: The distributions that the labels make, `(N, classes)`.
            taught: What `targets` made of the teacher's logits, `(N, classes)`.
        """
        softened = cross_entropy(logits.astype("float32") / self.temperature, taught)
        # A probability of 0 adds nothing, and its logarithm has to be finite.
        entropy = -(taught * mx.nd.log(mx.nd.maximum(taught, 1e-38))).sum(axis=1)
        soft = self.weight * self.temperature**2 * (softened - entropy)
        return soft + (1 - self.weight) * cross_entropy(logits, targets)
