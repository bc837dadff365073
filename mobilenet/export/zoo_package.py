"""Packages an exported file as the ONNX model zoo does: archive, manifest entry, model card."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np

from mobilenet import files
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.record_folder import SYNSET
from mobilenet.errors import DataError, WeightsError
from mobilenet.export.example_code import write_examples
from mobilenet.export.model_card import card, title
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.open_model import open_model
from mobilenet.onnx.example_images import example_images, random_images
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.onnx.zoo_archive import Tensor, manifest_entry, opset_of, write_archive

_SEED = 0
_NOTHING = Metadata()
# The columns of the tables in the zoo's README files.
_COLUMNS = (
    "Model",
    "Download",
    "Download (with sample test data)",
    "ONNX version",
    "Opset version",
    "Top-1 accuracy (%)",
    "Top-5 accuracy (%)",
)

Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Package:
    """The files of a published model, all in one folder."""

    model: Path
    archive: Path
    """`NAME.tar.gz`: the model with examples of inputs and outputs."""
    manifest: Path
    """`NAME.json`: the model's entry in the zoo's ONNX_HUB_MANIFEST.json."""
    card: Path
    """`README.md`: the model's row in the zoo's table, the model card, and how to use it."""
    example: Path
    """`NAME_example.py`: names what is in photos."""


def package(
    source: Path,
    folder: Path,
    images: Optional[Path] = None,
    num_examples: int = 3,
    accuracy: Metadata = _NOTHING,
) -> Package:
    """Packages the ONNX file `source` in `folder`; the same arguments give the same bytes.

    Args:
        source: An exported `.onnx` file.
        folder: Takes the files of `Package`, named like `source` and ending in the opset, as the
            zoo's are; and `synset.txt` if the file has class names.
        images: Record file or folder that the examples come from; by default they are random.
        num_examples: Number of pairs of an input and its output.
        accuracy: Accuracies of the file, if they were measured and it does not state them.

    Raises:
        WeightsError: `source` is not an ONNX image classifier.
        DataError: There are not enough images, or one cannot be decoded.
    """
    if source.suffix != ".onnx":
        raise WeightsError(f"{source} is not an .onnx file; export the model first")
    opened, model = open_model(source), OnnxModel(source)
    examples = _examples(opened, model, images, num_examples)
    result = _files(folder, source)
    with files.replaced(result.model) as temporary:
        shutil.copyfile(source, temporary)
    write_archive(result.archive, result.model, examples)
    entry = manifest_entry(title(opened), result.model, result.archive)
    files.write_json(result.manifest, entry)
    write_examples(result.model)
    metadata = model.metadata.updated(accuracy)
    of = "random images" if images is None else f"images of {images.name}"
    data = ("Sample test data", f"{num_examples * (model.batch_size or 1)} {of}")
    text = _card(entry, [*card(opened, metadata), data], metadata, result)
    files.write_text(result.card, text)
    if model.class_names:
        files.write_text(folder / SYNSET, "".join(f"{n}\n" for n in model.class_names))
    return result


def _files(folder: Path, source: Path) -> Package:
    ending = f"-{opset_of(source)}"
    name = source.stem if source.stem.endswith(ending) else source.stem + ending
    names = (f"{name}.onnx", f"{name}.tar.gz", f"{name}.json", "README.md", f"{name}_example.py")
    return Package(*(folder / file_name for file_name in names))


def _examples(
    opened: LoadedModel, model: OnnxModel, images: Optional[Path], number: int
) -> list[tuple[Tensor, Tensor]]:
    """Pairs of an input and its output; each is a batch, of 1 unless the file has a fixed size."""
    size = model.batch_size or 1
    transform = opened.transform
    if images is None:
        pixels = random_images(number * size, transform.size, _SEED)
    else:
        pixels = enough_images(images, transform, number * size)
    data = pixels if model.dtype == np.uint8 else transform.normalization(pixels)
    batches = np.split(data, number)
    return [(batch, model.predict(batch)) for batch in batches]


def enough_images(images: Path, transform: EvalTransform, count: int) -> Tensor:
    """Exactly `count` images, as `example_images` gives them.

    Raises:
        DataError: There are fewer, or one cannot be decoded.
    """
    pixels = example_images(images, transform, count)
    if len(pixels) < count:
        raise DataError(f"{images} has {len(pixels)} images; {count} are needed")
    return pixels


def _card(entry: dict[str, Any], rows: Rows, metadata: Metadata, package: Package) -> str:
    facts = entry["metadata"]
    row = (
        entry["model"],
        f"[{facts['model_bytes'] / 1e6:.1f} MB]({entry['model_path']})",
        f"[{facts['model_with_data_bytes'] / 1e6:.1f} MB]({facts['model_with_data_path']})",
        entry["onnx_version"],
        str(entry["opset_version"]),
        _percent(metadata.top1_accuracy),
        _percent(metadata.top5_accuracy),
    )
    lines = [f"# {entry['model']}", "", *(_line(r) for r in (_COLUMNS, ["---"] * len(row), row))]
    lines += ["", "## Model", "", *(f"* {label}: {text}" for label, text in rows)]
    lines += ["", "## Input and output", "", *map(_port, ("Input", "Output"), _ports(facts))]
    lines += ["", "## Use", "", f"This is `{package.example.name}`:", "", "```python"]
    lines += [package.example.read_text(encoding="utf-8", errors="replace").rstrip(), "```", ""]
    return "\n".join(lines)


def _percent(accuracy: Optional[float]) -> str:
    return "not stated" if accuracy is None else f"{100 * accuracy:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ports(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return [*facts["io_ports"]["inputs"], *facts["io_ports"]["outputs"]]


def _port(kind: str, port: dict[str, Any]) -> str:
    shape = ", ".join(str(size) for size in port["shape"])
    return f"* {kind} `{port['name']}`: {port['type']} of ({shape})"
