"""Updates of the parameters: momentum, Nesterov's momentum, RMSProp in TensorFlow's form.

State is a set of arrays with names, so that it is saved and restored like the parameters; nothing
here knows which step it is, because the learning rate is given with every update.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Mapping, Optional, Protocol, Sequence

import mxnet as mx
from mxnet import gluon

Array = mx.nd.NDArray


class Rule(Protocol):
    """How one parameter changes."""

    def initial_state(self, weight: Array) -> dict[str, Array]:
        """Arrays of the weight's shape by their role."""

    def update(
        self, weight: Array, gradient: Array, state: dict[str, Array], **rates: float
    ) -> None:
        """Changes `weight` and `state` in place.

        Args:
            weight: Changed.
            gradient: Of the sum of the losses.
            state: What `initial_state` gave; changed.
            **rates: `lr`, the learning rate; `wd`, the weight decay; `rescale_grad`, a factor on the
                gradient.
        """


@dataclass(frozen=True)
class Momentum:
    """Stochastic gradient descent with momentum, Nesterov's if so wished.

    v = m v - lr (g + wd w); w = w + v, or with Nesterov w = w + m v - lr (g + wd w). The learning
    rate is inside the momentum, as in MXNet and Caffe.
    """

    momentum: float
    nesterov: bool

    def initial_state(self, weight: Array) -> dict[str, Array]:
        """The velocity v, zero."""
        return {"velocity": mx.nd.zeros_like(weight)}

    def update(
        self, weight: Array, gradient: Array, state: dict[str, Array], **rates: float
    ) -> None:
        """See `Rule`."""
        operator = mx.nd.nag_mom_update if self.nesterov else mx.nd.sgd_mom_update
        operator(weight, gradient, state["velocity"], momentum=self.momentum, out=weight, **rates)


@dataclass(frozen=True)
class RMSProp:
    """RMSProp with momentum as TensorFlow 1 computes it, with which MobileNet v2 was published.

    s = d s + (1 - d) (g + wd w)^2; v = m v + lr (g + wd w) / sqrt(s + epsilon); w = w - v. The mean
    square s starts at 1 and epsilon is under the root (tf.train.RMSPropOptimizer), unlike in
    MXNet's operator, which has no momentum in this form.
    """

    momentum: float
    decay: float
    epsilon: float

    def initial_state(self, weight: Array) -> dict[str, Array]:
        """The mean square s, one, and the velocity v, zero."""
        return {"mean_square": mx.nd.ones_like(weight), "velocity": mx.nd.zeros_like(weight)}

    def update(
        self, weight: Array, gradient: Array, state: dict[str, Array], **rates: float
    ) -> None:
        """See `Rule`."""
        gradient = rates["rescale_grad"] * gradient + rates["wd"] * weight
        mean_square, velocity = state["mean_square"], state["velocity"]
        mean_square *= self.decay
        mean_square += (1 - self.decay) * gradient.square()
        velocity *= self.momentum
        velocity += rates["lr"] * gradient / (mean_square + self.epsilon).sqrt()
        weight -= velocity


@dataclass(frozen=True)
class WeightDecay:
    """The L2 penalty of each parameter by its role.

    Attributes:
        rate: On the weights of convolutions and of the classifier.
        norm_and_bias: Also on gamma, beta and bias.
        depthwise: Also on depthwise convolutions.
    """

    rate: float
    norm_and_bias: bool = False
    depthwise: bool = True

    def of(self, name: str, shape: tuple[int, ...]) -> float:
        """The penalty on the parameter `name` of `shape`."""
        if len(shape) == 1:
            return self.rate if self.norm_and_bias else 0.0
        is_depthwise = re.search(r"depthwise_conv_weight$", name) is not None
        return self.rate if self.depthwise or not is_depthwise else 0.0


class Optimizer:
    """Changes the parameters of a network that have a gradient, alike on all of its devices.

    Args:
        parameters: By name, initialized.
        rule: How one parameter changes.
        weight_decay: The L2 penalty of each.
        clip_norm: Largest norm of the whole gradient; longer ones are scaled down to it.
    """

    def __init__(
        self,
        parameters: Mapping[str, gluon.Parameter],
        rule: Rule,
        weight_decay: WeightDecay,
        clip_norm: Optional[float] = None,
    ) -> None:
        self._parameters = {n: p for n, p in parameters.items() if p.grad_req != "null"}
        self._decays = {n: weight_decay.of(n, p.shape) for n, p in self._parameters.items()}
        self._rule = rule
        self._clip_norm = clip_norm
        self._states = [
            {name: rule.initial_state(weight) for name, weight in weights.items()}
            for weights in self._per_device("list_data")
        ]

    def _per_device(self, of: str) -> list[dict[str, Array]]:
        lists = {name: getattr(p, of)() for name, p in self._parameters.items()}
        num_devices = len(next(iter(lists.values())))
        return [{n: arrays[i] for n, arrays in lists.items()} for i in range(num_devices)]

    def step(self, learning_rate: float, num_images: int) -> Array:
        """Updates every parameter from the gradients of the summed losses of `num_images` images.

        Returns:
            The norm of the whole gradient of the mean loss, before it was clipped, `(1,)`.
        """
        gradients = self._per_device("list_grad")
        _sum_over_devices(gradients)
        norms = [_norm(list(g.values())) / num_images for g in gradients]
        for weights, grads, states, norm in zip(
            self._per_device("list_data"), gradients, self._states, norms
        ):
            if self._clip_norm is not None:
                _scale(list(grads.values()), mx.nd.minimum(1.0, self._clip_norm / norm))
            for name, weight in weights.items():
                rates = {"lr": learning_rate, "wd": self._decays[name]}
                self._rule.update(
                    weight, grads[name], states[name], rescale_grad=1 / num_images, **rates
                )
        return norms[0]

    def state(self) -> dict[str, Array]:
        """The optimizer's arrays as `role/parameter`, e.g. `velocity/stem_conv_weight`."""
        return {
            f"{role}/{name}": array
            for name, roles in self._states[0].items()
            for role, array in roles.items()
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Takes over what `state` once gave."""
        for states in self._states:
            for name, roles in states.items():
                for role, array in roles.items():
                    arrays[f"{role}/{name}"].copyto(array)


def _sum_over_devices(gradients: Sequence[dict[str, Array]]) -> None:
    """Every device's gradients become their sum over the devices."""
    first, *others = gradients
    for name, total in first.items():
        for other in others:
            total += other[name].as_in_context(total.context)
        for other in others:
            total.copyto(other[name])


def _norm(arrays: list[Array]) -> Array:
    return mx.nd.multi_sum_sq(*arrays, num_arrays=len(arrays)).sum().sqrt()


def _scale(arrays: list[Array], factor: Array) -> None:
    for array in arrays:
        array *= factor.reshape((1,) * array.ndim)
