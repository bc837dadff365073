"""Fine-tuning: starts a network from the weights of another run or of a file."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator

import mxnet as mx
import numpy as np

from mobilenet.data.batch_reader import Batch
from mobilenet.data.class_folder_labels import class_id
from mobilenet.network import batchnorm_unfolding
from mobilenet.network.graph_forms import inference_block_of
from mobilenet.pretrained.weights_of_any_kind import read_alone
from mobilenet.runs.checkpoint_folder import Arrays
from mobilenet.training.learner import Learner, Start

_UNFOLDING_BATCHES = 8


@dataclass(frozen=True)
class InitialWeights:
    """Weights to start from.

    Attributes:
        file: The file of parameters.
        symbol: The plain graph of the network.
        context: The device that computes BatchNorm's statistics if BatchNorm was folded.
        num_parts: Number of equal parts in which a batch is computed, to save memory.
        their_classes: One line per class that the weights were trained on; empty if unknown.
        own_classes: One line per class of the run; empty if unknown.
        differences: Settings of the weights that differ from the run and affect them, with both
            values.
    """

    file: Path
    symbol: mx.sym.Symbol
    context: mx.Context
    num_parts: int = 1
    their_classes: tuple[str, ...] = ()
    own_classes: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    def load(self, learner: Learner, batches: Iterable[Batch]) -> None:
        """Loads the weights into the network, and describes the result in `learner.start`.

        A classifier of another shape or for other classes keeps its random weights. Where BatchNorm
        was folded into the weights, it is restored with the statistics of a few of `batches`.

        Raises:
            WeightsError: They cannot be read or do not fit the network.
        """
        arrays = dict(read_alone(self.file))
        own, given = _classifier(learner.parameters), _classifier(arrays)
        fits = {n: a.shape for n, a in own.items()} == {n: a.shape for n, a in given.items()}
        random: dict[str, mx.nd.NDArray] = {}
        if not fits or self._other_class():
            features = {name: array for name, array in arrays.items() if name not in given}
            random = {name: array.copy() for name, array in own.items()}
            arrays = {**features, **random}
        learner.set_parameters(arrays, self.file)
        num_unfolded = self._unfold(learner, batches)
        learner.start = Start(tuple(sorted(random)), num_unfolded, tuple(self._warnings(fits)))

    def _other_class(self) -> str | None:
        """The first class that differs from the run's, if both are known."""
        if not self.their_classes or not self.own_classes:
            return None
        pairs = itertools.zip_longest(self.their_classes, self.own_classes, fillvalue="")
        for label, (theirs, own) in enumerate(pairs):
            if class_id(theirs) != class_id(own):
                return f"label {label} was {theirs!r} and is {own!r}"
        return None

    def _warnings(self, fits: bool) -> Iterator[str]:
        """Warnings about the weights; `fits` says whether the classifier has the right shape."""
        for change in self.differences:
            yield f"{self.file}: was trained with another {change}"
        other = self._other_class()
        if fits and other:
            yield f"{self.file}: its classes are others ({other}): the classifier starts at random"
        elif fits and not (self.their_classes and self.own_classes):
            whose = "the records'" if self.their_classes else "its"
            yield f"{self.file}: {whose} class names are unknown; its classifier is kept"

    def _unfold(self, learner: Learner, batches: Iterable[Batch]) -> int:
        """Restores folded BatchNorms, unless they are frozen; returns their number."""
        arrays = {name: array.copy() for name, array in learner.parameters.items()}
        folded = batchnorm_unfolding.folded_norms(self.symbol, arrays)
        norms = [norm for norm in folded if learner.trains(norm.gamma)]
        if norms:
            moments = batchnorm_unfolding.moments(self.symbol, norms)
            block = inference_block_of(moments, arrays, self.context)
            first = itertools.islice(batches, _UNFOLDING_BATCHES)
            images = (part for batch in first for part in np.split(batch.data, self.num_parts))
            outputs = (block(mx.nd.array(part, ctx=self.context)) for part in images)
            unfolded = batchnorm_unfolding.unfolded(norms, arrays, outputs)
            learner.set_parameters({**arrays, **unfolded}, self.file)
        return len(norms)


def _classifier(arrays: Arrays) -> dict[str, mx.nd.NDArray]:
    return {name: array for name, array in arrays.items() if name.startswith("classifier_")}
