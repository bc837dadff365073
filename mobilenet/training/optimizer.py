"""Optimizers: SGD with momentum or Nesterov's momentum, and RMSProp as in TensorFlow.

The state consists of named arrays, and is saved and restored like the parameters. Nothing here
counts steps, because the learning rate is passed with every update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, NamedTuple, Protocol

import mxnet as mx
from mxnet import gluon

from mobilenet.distributed.group import ALONE, Group

Arrays = dict[str, Any]  # of mx.nd.NDArray


class Rates(NamedTuple):
    """The factors of one update of one parameter.

    Attributes:
        lr: Learning rate.
        wd: Weight decay.
        rescale_grad: Factor on the gradient.
    """

    lr: float
    wd: float
    rescale_grad: float


class Rule(Protocol):
    """How one parameter is updated."""

    def initial_state(self, weight: mx.nd.NDArray) -> Arrays:
        """Arrays of the weight's shape by their role."""

    def update(
        self, weight: mx.nd.NDArray, gradient: mx.nd.NDArray, state: Arrays, rates: Rates
    ) -> None:
        """Changes `weight` and `state`, which `initial_state` gave, in place."""


@dataclass(frozen=True)
class Momentum:
    """Stochastic gradient descent with momentum, or Nesterov's momentum.

    v = m v - lr (g + wd w); w = w + v, or with Nesterov w = w + m v - lr (g + wd w). The learning
    rate is part of v, as in Caffe and in MXNet's operators. MXNet's Nesterov operator updates w
    before v, so that the weight decay in v is that of the new w; the difference is of the order of
    lr wd.
    """

    momentum: float
    nesterov: bool

    def initial_state(self, weight: mx.nd.NDArray) -> Arrays:
        """The velocity v, zero."""
        return {"velocity": mx.nd.zeros_like(weight)}

    def update(
        self, weight: mx.nd.NDArray, gradient: mx.nd.NDArray, state: Arrays, rates: Rates
    ) -> None:
        """See `Rule`."""
        operator = mx.nd.nag_mom_update if self.nesterov else mx.nd.sgd_mom_update
        velocity = state["velocity"]
        operator(weight, gradient, velocity, momentum=self.momentum, out=weight, **rates._asdict())


@dataclass(frozen=True)
class RMSProp:
    """RMSProp with momentum as in TensorFlow 1, with which MobileNet v2 was first trained.

    s = d s + (1 - d) (g + wd w)^2; v = m v + lr (g + wd w) / sqrt(s + epsilon); w = w - v. The mean
    square s starts at 1, and epsilon is inside the root (tf.train.RMSPropOptimizer). MXNet's own
    RMSProp has no momentum of this form.
    """

    momentum: float
    decay: float
    epsilon: float

    def initial_state(self, weight: mx.nd.NDArray) -> Arrays:
        """The mean square s, one, and the velocity v, zero."""
        return {"mean_square": mx.nd.ones_like(weight), "velocity": mx.nd.zeros_like(weight)}

    def update(
        self, weight: mx.nd.NDArray, gradient: mx.nd.NDArray, state: Arrays, rates: Rates
    ) -> None:
        """See `Rule`."""
        if rates.wd:
            gradient = gradient + (rates.wd / rates.rescale_grad) * weight
        velocity = state["velocity"]
        velocity *= self.momentum
        # MXNet's operator for RMSProp without momentum: updates s, then w = w - lr g / sqrt(s +
        # epsilon). Where w is the velocity, it is one call in the place of six.
        mx.nd.rmsprop_update(
            velocity, gradient, state["mean_square"], out=velocity, lr=-rates.lr, wd=0.0,
            gamma1=self.decay, epsilon=self.epsilon, rescale_grad=rates.rescale_grad,
        )  # fmt: skip
        weight -= velocity


@dataclass(frozen=True)
class WeightDecay:
    """The L2 penalty of each parameter by its role.

    Attributes:
        rate: Factor for the weights of convolutions and of the classifier.
        norm_and_bias: Whether it applies to gamma, beta and bias, too.
        depthwise: Whether it applies to the weights of depthwise convolutions, too.
    """

    rate: float
    norm_and_bias: bool = False
    depthwise: bool = True

    def of(self, name: str, shape: tuple[int, ...]) -> float:
        """The penalty on the parameter `name` of `shape`."""
        if len(shape) == 1:
            return self.rate if self.norm_and_bias else 0.0
        is_depthwise = name.endswith("depthwise_conv_weight")
        return self.rate if self.depthwise or not is_depthwise else 0.0


class Optimizer:
    """Updates the parameters that have a gradient, with the same result on every device.

    Parameters in half precision are updated through a copy in float32, their master.

    Args:
        parameters: Initialized parameters by name.
        rule: How one parameter is updated.
        weight_decay: The L2 penalty of each parameter.
        clip_norm: Largest norm of the whole gradient; larger gradients are scaled down to it.
        group: The ranks that make the same updates; by default only this process.
    """

    def __init__(
        self,
        parameters: Mapping[str, gluon.Parameter],
        rule: Rule,
        weight_decay: WeightDecay,
        clip_norm: float | None = None,
        group: Group = ALONE,
    ) -> None:
        self._group = group
        self._rule = rule
        self._clip_norm = clip_norm
        self._trained = {n: p for n, p in parameters.items() if p.grad_req != "null"}
        self._decays = {n: weight_decay.of(n, p.shape) for n, p in self._trained.items()}
        self._weights = self._by_device({n: p.list_data() for n, p in self._trained.items()})
        # A master is a copy; float32 weights are their own masters.
        self._masters = self._by_device(
            {name: _float32(parameter.list_data()) for name, parameter in self._trained.items()}
        )
        self._states = [
            {name: rule.initial_state(master) for name, master in masters.items()}
            for masters in self._masters
        ]

    @staticmethod
    def _by_device(arrays: Mapping[str, list[mx.nd.NDArray]]) -> list[Arrays]:
        return [dict(zip(arrays, on_device)) for on_device in zip(*arrays.values())]

    def step(self, learning_rate: float, num_images: int) -> mx.nd.NDArray:
        """Updates every parameter by the gradient of the loss, summed over `num_images` images.

        Every rank calls this, with the same number of images of its own.

        Returns:
            The norm of the whole gradient of the mean loss before clipping, `(1,)`.
        """
        gradients = self._by_device({n: _float32(p.list_grad()) for n, p in self._trained.items()})
        _sum_over_devices(gradients, self._group)
        num_images *= self._group.size
        norms = [norm(arrays.values()) / num_images for arrays in gradients]
        for device, length in enumerate(norms):
            if self._clip_norm is not None:
                _scale(gradients[device], mx.nd.minimum(self._clip_norm / length, 1.0))
            self._update(device, gradients[device], learning_rate, 1 / num_images)
        return norms[0]

    def _update(self, device: int, gradients: Arrays, lr: float, rescale_grad: float) -> None:
        weights, states = self._weights[device], self._states[device]
        for name, master in self._masters[device].items():
            rates = Rates(lr, self._decays[name], rescale_grad)
            self._rule.update(master, gradients[name], states[name], rates)
            if master is not weights[name]:
                master.copyto(weights[name])

    def masters(self) -> Arrays:
        """The weights in float32 by name, as a checkpoint stores them."""
        return self._masters[0]

    def take_over_weights(self, weights: Mapping[str, mx.nd.NDArray]) -> None:
        """Sets the masters to `weights`, which the network has already."""
        for masters, own in zip(self._masters, self._weights):
            for name, master in masters.items():
                if master is not own[name]:
                    weights[name].copyto(master)

    def state(self) -> Arrays:
        """The other arrays as `role/parameter`, e.g. `velocity/stem_conv_weight`."""
        return {
            f"{role}/{name}": array
            for name, roles in self._states[0].items()
            for role, array in roles.items()
        }

    def restore(self, state: Mapping[str, mx.nd.NDArray]) -> None:
        """Restores what `state` returned."""
        for states in self._states:
            for name, roles in states.items():
                for role, array in roles.items():
                    state[f"{role}/{name}"].copyto(array)


def _float32(arrays: Iterable[mx.nd.NDArray]) -> list[mx.nd.NDArray]:
    """The arrays in float32; in half precision, squares and sums would overflow."""
    return [array.astype("float32", copy=False) for array in arrays]


def _sum_over_devices(gradients: list[Arrays], group: Group) -> None:
    """Replaces the gradients on every device by their sum over all devices of all ranks."""
    first, *others = gradients
    for name in first:
        for other in others:
            first[name] += other[name].as_in_context(first[name].context)
    group.sum(list(first.values()))
    for name in first:
        for other in others:
            first[name].copyto(other[name])


def norm(arrays: Iterable[mx.nd.NDArray]) -> mx.nd.NDArray:
    """The L2 norm of all values of all `arrays` of one device, `(1,)`."""
    arrays = list(arrays)
    return mx.nd.multi_sum_sq(*arrays, num_arrays=len(arrays)).sum().sqrt()


def _scale(arrays: Arrays, factor: mx.nd.NDArray) -> None:
    for array in arrays.values():
        mx.nd.broadcast_mul(array, factor.reshape((1,) * array.ndim), out=array)
