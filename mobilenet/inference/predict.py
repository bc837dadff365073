"""Predicts the five most probable classes of images."""

from __future__ import annotations

import csv
import glob
import io
import json
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, Sequence, TextIO, Union

import numpy as np

from mobilenet.data.eval_transforms import EvalTransform, Floats
from mobilenet.data.synset import names_of_classes, spoken_names
from mobilenet.errors import DataError, reason
from mobilenet.inference.grad_cam import HeatMaps
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.metrics import Guess, guesses, score
from mobilenet.packing.dataset_layouts import is_image
from mobilenet.packing.folder_trees import DiskFolder, walk
from mobilenet.packing.image_sources import some_of
from mobilenet.progress_bar import say
from mobilenet.skipped_items import SKIP_NONE, SkippedItems

_STANDARD_INPUT = "-"

_Image = tuple[str, Union[Path, bytes]]
_Batch = list[tuple[str, "Future[Floats]"]]


@dataclass(frozen=True)
class Answer:
    """The prediction for one image: up to five classes, the most probable first."""

    image: str
    guesses: tuple[Guess, ...]
    heat_map: Path | None = None
    """The picture of what speaks for the most probable class, if it was asked for."""


def predict(
    model: LoadedModel,
    images: Iterable[str],
    skipped: SkippedItems = SKIP_NONE,
    heat_maps: HeatMaps | None = None,
) -> Iterator[Answer]:
    """The predictions of `model` for image files, in order; each batch as soon as it is computed.

    Args:
        model: From `open_model`.
        images: Paths of files that OpenCV decodes.
        skipped: Collects files that cannot be read or decoded; by default the first one raises.
        heat_maps: Draws what speaks for the most probable class of each image, if it is given.

    Raises:
        DataError: A file cannot be read or decoded, and is not skipped.
        NotFiniteError: The network's output is not finite.
    """
    if not model.class_names:
        first = names_of_classes((), model.config.model.classes)[0]
        say(f"warning: {model.path}: does not name its classes; called {first!r} and so on")
    yield from predict_encoded(model, [(path, Path(path)) for path in images], skipped, heat_maps)


def predict_encoded(
    model: LoadedModel,
    images: Sequence[_Image],
    skipped: SkippedItems = SKIP_NONE,
    heat_maps: HeatMaps | None = None,
) -> Iterator[Answer]:
    """Like `predict`, for names with files or with encoded images in memory."""
    names = spoken_names(names_of_classes(model.class_names, model.config.model.classes))
    for pending in _batches(images, model.transform, model.config.validation.batch_size):
        good = list(_decoded(pending, skipped))
        if not good:
            continue
        paths, inputs = [path for path, _ in good], np.stack([data for _, data in good])
        predictions = score(model.predict(inputs), np.zeros(len(good), np.int32))
        drawn: Sequence[Path | None] = [None] * len(good)
        if heat_maps is not None:
            drawn = heat_maps.write(paths, inputs, predictions.classes[:, 0])
        for place, (path, heat_map) in enumerate(zip(paths, drawn)):
            yield Answer(path, guesses(predictions, place, names), heat_map)


def _batches(images: Sequence[_Image], transform: EvalTransform, size: int) -> Iterator[_Batch]:
    """The inputs of the network; threads prepare the next batch while one is computed."""
    pending: deque[_Batch] = deque()
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(images), size):
            group = images[start : start + size]
            pending.append([(image[0], pool.submit(_input, image, transform)) for image in group])
            if len(pending) > 1:
                yield pending.popleft()
        yield from pending


def _decoded(batch: _Batch, skipped: SkippedItems) -> Iterator[tuple[str, Floats]]:
    """The names and inputs of a batch, without images that are skipped."""
    for name, future in batch:
        with skipped.skipping(name):
            yield name, future.result()


def _input(image: _Image, transform: EvalTransform) -> Floats:
    name, content = image
    try:
        return transform(content.read_bytes() if isinstance(content, Path) else content)
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {reason(error)}") from None
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def find_images(sources: Iterable[str], standard_input: TextIO) -> list[str]:
    """The paths of the images that `sources` name, in order.

    A source is a file, a folder (all images below it, sorted), a pattern such as `*.jpg`, or `-`
    for a list of files on standard input, one per line.

    Raises:
        DataError: A source names no image.
    """
    return [path for source in sources for path in _expanded(source, standard_input)]


def _expanded(source: str, standard_input: TextIO) -> list[str]:
    if source == _STANDARD_INPUT:
        found = [line.strip() for line in standard_input if line.strip()]
    elif Path(source).is_dir():
        found = _in_folder(source)
    elif Path(source).exists():
        found = [source]
    else:
        # Path.glob takes no absolute patterns.
        found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
    if not found:
        hint = f"; a setting is given as --set {source}" if "=" in source else ""
        raise DataError(
            f"{source}: no image has this name, and none is in a folder of this name{hint}"
        )
    return found


def _in_folder(folder: str) -> list[str]:
    """The paths of the images below a folder, sorted; warns of other files."""
    found, others = [], []
    for name, file in sorted(walk(DiskFolder(folder))):
        if file is not None and is_image(name):
            found.append(str(Path(file.path)))
        else:
            others.append(name)
    if others:
        say(f"warning: {folder}: ignored, because they are no images: {some_of(others)}")
    return found


def as_table(answers: Iterable[Answer]) -> Iterator[str]:
    """An image's path, then a line per guess."""
    for answer in answers:
        yield answer.image
        yield from (f"  {100 * guess.probability:6.2f} %  {guess.name}" for guess in answer.guesses)
        if answer.heat_map is not None:
            yield f"  heat map: {answer.heat_map}"


def as_json(answers: Iterable[Answer]) -> Iterator[str]:
    """A line of JSON per image."""
    for answer in answers:
        guesses = [guess._asdict() for guess in answer.guesses]
        drawn = {} if answer.heat_map is None else {"heat_map": str(answer.heat_map)}
        line = {"image": answer.image, "guesses": guesses, **drawn}
        yield json.dumps(line, ensure_ascii=False)


def as_csv(answers: Iterable[Answer]) -> Iterator[str]:
    """A header, then a row per guess."""
    yield "image,place,label,name,probability"
    for answer in answers:
        for place, guess in enumerate(answer.guesses, start=1):
            row = io.StringIO()
            cells = (answer.image, place, guess.label, guess.name, f"{guess.probability:.6g}")
            csv.writer(row, lineterminator="").writerow(cells)
            yield row.getvalue()


FORMATS = {"table": as_table, "json": as_json, "csv": as_csv}
