"""Training steps of MobileNet v2 written out in NumPy, in double precision.

Independent of MXNet and of the package, but for the names of the parameters.
"""

from __future__ import annotations

import itertools
from typing import Callable, Iterator

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Values = dict[str, Array]
Back = Callable[[Array], Array]
Layer = tuple[Array, Back]

EPSILON = 1e-5
STRIDES = ((1,), (2, 1), (2, 1, 1), (2, 1, 1, 1), (1, 1, 1), (2, 1, 1), (1,))


class Network:
    """Computes loss and gradients; every layer gives its output and the way back.

    Attributes:
        values: Parameters of the paper's dialect by name.
        gradients: Of the last call's mean loss.
    """

    def __init__(self, values: Values) -> None:
        self.values = values
        self.gradients: Values = {}

    def loss(self, images: Array, targets: Array) -> float:
        """The mean cross-entropy; leaves its gradients."""
        x, way_back = images, []
        for layer in self._layers():
            x, back = layer(x)
            way_back.append(back)
        log_probabilities = x - np.logaddexp.reduce(x, axis=1, keepdims=True)
        dy = (np.exp(log_probabilities) - targets) / len(images)
        for back in reversed(way_back):
            dy = back(dy)
        return float(-(targets * log_probabilities).sum(axis=1).mean())

    def _layers(self) -> Iterator[Callable[[Array], Layer]]:
        yield lambda x: self._unit("stem", x, 2)
        for row, strides in enumerate(STRIDES, start=1):
            for number, stride in enumerate(strides):
                name = f"stage{row}_block{number}"
                yield lambda x, name=name, stride=stride: self._block(name, x, stride)
        yield lambda x: self._unit("head", x)
        yield pool
        yield self._classifier

    def _block(self, name: str, x: Array, stride: int) -> Layer:
        way_back, y = [], x
        if f"{name}_expand_conv_weight" in self.values:
            y, back = self._unit(f"{name}_expand", y)
            way_back.append(back)
        y, back = self._unit(f"{name}_depthwise", y, stride)
        way_back.append(back)
        y, back = self._unit(f"{name}_project", y, is_linear=True)
        way_back.append(back)
        is_residual = y.shape == x.shape

        def backward(dy: Array) -> Array:
            dx = dy
            for back in reversed(way_back):
                dx = back(dx)
            return dx + dy if is_residual else dx

        return (y + x if is_residual else y), backward

    def _unit(self, name: str, x: Array, stride: int = 1, is_linear: bool = False) -> Layer:
        x, conv_back = self._convolution(f"{name}_conv_weight", x, stride)
        x, norm_back = self._norm(f"{name}_norm", x)
        if is_linear:
            return x, lambda dy: conv_back(norm_back(dy))
        passes = (x > 0) & (x < 6)
        return x.clip(0, 6), lambda dy: conv_back(norm_back(dy * passes))

    def _convolution(self, name: str, x: Array, stride: int) -> Layer:
        """Ordinary, or depthwise where the kernels are of one channel and the image is not."""
        weight = self.values[name]
        is_depthwise = weight.shape[1] < x.shape[1]
        size, pad = weight.shape[2], weight.shape[2] // 2
        padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        height, width = ((side + stride - 1) // stride for side in x.shape[2:])
        taps = {
            (i, j): np.s_[:, :, i : i + stride * height : stride, j : j + stride * width : stride]
            for i, j in itertools.product(range(size), repeat=2)
        }
        o = "c" if is_depthwise else "o"
        k = 0 if is_depthwise else slice(None)
        kernel = "c" if is_depthwise else "oc"
        y = sum(
            np.einsum(f"nchw,{kernel}->n{o}hw", padded[at], weight[:, k, i, j], optimize=True)
            for (i, j), at in taps.items()
        )

        def backward(dy: Array) -> Array:
            d_padded, d_weight = np.zeros_like(padded), np.zeros_like(weight)
            for (i, j), at in taps.items():
                ways = weight[:, k, i, j]
                d_padded[at] += np.einsum(f"n{o}hw,{kernel}->nchw", dy, ways, optimize=True)
                found = np.einsum(f"n{o}hw,nchw->{kernel}", dy, padded[at], optimize=True)
                d_weight[:, k, i, j] = found
            self.gradients[name] = d_weight
            return d_padded[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]

        return y, backward

    def _norm(self, name: str, x: Array) -> Layer:
        """Normalised by the batch."""
        over, along = (0, 2, 3), np.s_[None, :, None, None]
        gamma, beta = self.values[f"{name}_gamma"], self.values[f"{name}_beta"]
        scale = gamma / np.sqrt(x.var(axis=over) + EPSILON)
        normal = (x - x.mean(axis=over)[along]) / np.sqrt(x.var(axis=over) + EPSILON)[along]

        def backward(dy: Array) -> Array:
            self.gradients[f"{name}_gamma"] = (dy * normal).sum(axis=over)
            self.gradients[f"{name}_beta"] = dy.sum(axis=over)
            mean, slope = dy.mean(axis=over), (dy * normal).mean(axis=over)
            return scale[along] * (dy - mean[along] - normal * slope[along])

        return gamma[along] * normal + beta[along], backward

    def _classifier(self, x: Array) -> Layer:
        weight = self.values["classifier_weight"]

        def backward(dy: Array) -> Array:
            self.gradients["classifier_weight"] = dy.T @ x
            self.gradients["classifier_bias"] = dy.sum(axis=0)
            return dy @ weight

        return x @ weight.T + self.values["classifier_bias"], backward


def pool(x: Array) -> Layer:
    """The mean over the image."""
    area = x.shape[2] * x.shape[3]
    return x.mean(axis=(2, 3)), lambda dy: np.ones_like(x) * dy[:, :, None, None] / area


class Update:
    """One of the optimizers as its authors write it; `decay` is of every weight that has one."""

    def __init__(self, name: str, momentum: float, decay: float) -> None:
        self._name, self._momentum, self._decay = name, momentum, decay
        self._velocity: Values = {}
        self._mean_square: Values = {}

    def __call__(self, values: Values, gradients: Values, rate: float) -> None:
        """Changes `values`."""
        for name, gradient in gradients.items():
            decay = self._decay if name.endswith("weight") else 0.0
            values[name] = values[name] - self._change(name, gradient + decay * values[name], rate)

    def _change(self, name: str, gradient: Array, rate: float) -> Array:
        before = self._velocity.get(name, 0.0)
        if self._name == "rmsprop":  # tf.train.RMSPropOptimizer, decay 0.9, epsilon 1
            old = self._mean_square.get(name, np.ones_like(gradient))
            self._mean_square[name] = 0.9 * old + 0.1 * gradient**2
            step = rate * gradient / np.sqrt(self._mean_square[name] + 1.0)
            self._velocity[name] = self._momentum * before + step
            return self._velocity[name]
        # Sutskever et al. 2013, with the velocity in units of the gradient as in PyTorch.
        self._velocity[name] = self._momentum * before + gradient
        ahead = gradient + self._momentum * self._velocity[name]
        return rate * (ahead if self._name == "nag" else self._velocity[name])
