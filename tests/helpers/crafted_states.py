"""Crafts JSON that is nearly right, and reads it (`crafting`).

Kinds: `state.json` of a checkpoint, `labels.json` with several classes of an image, `symbol.json`
of MXNet beside parameters, `service.json` of an archive for servers, `metadata` of an ONNX file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Callable

import mobilenet  # noqa: F401  # isort: skip  makes MXNet importable
import mxnet as mx
import numpy as np
import onnx
from crafted_texts import wrong_json
from crafting import Random, craft_and_read, quiet, spoilt, told
from pictures import encoded, photograph
from PIL import Image
from random_networks import random_network

from mobilenet.export.request_handler import Classifier
from mobilenet.foreign.import_weights import import_weights
from mobilenet.foreign.weight_file import read_source
from mobilenet.inference.open_model import open_model
from mobilenet.network.architecture import parameter_arrays
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata
from mobilenet.runs import checkpoint
from mobilenet.runs.checkpoint_averaging import average_run
from mobilenet.runs.checkpoint_folder import State
from mobilenet.runs.described_weights import best_weights
from mobilenet.runs.epoch_record import EpochRecord, Metrics, Progress
from mobilenet.runs.run_table import read_runs
from mobilenet.validation.multilabel import read_label_sets

SIZE = 32
STEP = 7


def write_whole(folder: Path) -> None:
    """A run with two checkpoints, and an exported file; JSON of every other kind."""
    folder = folder / "whole"
    (folder / "run").mkdir(parents=True)
    network = random_network("paper", 0.1)
    arrays = parameter_arrays(network)
    history = [
        EpochRecord(n, n * STEP, 0.1, 2.5, 0.3, "val", 50, 2.0, 0.1 * n, 0.9) for n in (1, 2)
    ]
    for number in (1, 2):
        progress = Progress(number * STEP, Metrics(64, 1.25, 3), history[:number], 1)
        state = State(progress, "training: {epochs: 9}\n", {"train": {"index": "ab"}}, "parameters")
        checkpoint.save(
            folder / "run", state, {"parameters": arrays, "optimizer": {"v": mx.nd.ones(3)}}
        )
    (folder / "run" / "config.yaml").write_text("training: {epochs: 9}\n")
    (folder / "labels.json").write_text(json.dumps([[n % 3, 3] for n in range(20)] + [[]]))
    symbol = network(mx.sym.var("data"))
    (folder / "net-symbol.json").write_text(symbol.tojson())
    mx.nd.save(str(folder / "net-0000.params"), {f"arg:{n}": a for n, a in arrays.items()})
    facts = Metadata(
        (0.5,) * 3, (0.2,) * 3, class_names=tuple(map(str, range(1000))), resolution=SIZE
    )
    export_network(network, folder / "model.onnx", GraphOptions(resolution=SIZE), facts)
    service = {"name": "center-crop", "resolution": SIZE, "short_side": SIZE, "mean": [0.5] * 3}
    service |= {"std": [0.2] * 3, "exif_orientation": "apply", "crop": None}
    (folder / "service.json").write_text(json.dumps({**service, "class_names": ["a"] * 1000}))


def sealed(content: bytes) -> bytes:
    """The state with its own digest, so that it is read whatever it says."""
    tree = json.loads(content)
    tree.pop("sha256", None)
    text = json.dumps(tree, sort_keys=True)
    return json.dumps({**tree, "sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()


def read_run(folder: Path) -> None:
    """As resuming, pruning, deploying, averaging and comparing do."""
    run, messages = folder / "run", list[str]()
    told(lambda: checkpoint.newest_checkpoint(run, messages.append))
    told(lambda: best_weights(run))
    told(lambda: average_run(run, 2, folder / "mean.params"))
    told(lambda: read_runs([run], warn=messages.append))
    told(lambda: checkpoint.prune(run, 1, 3))


def read_metadata(folder: Path) -> None:
    """Opens the model, classifies by it and imports it."""
    model = open_model(folder / "model.onnx")
    model.predict(np.zeros((1, 3, SIZE, SIZE), np.float32))
    import_weights(folder / "model.onnx", folder / "imported")


FILES = {
    "state": "run/checkpoints/step-00000014-epoch-0002/state.json",
    "labels": "labels.json",
    "symbol": "net-symbol.json",
    "service": "service.json",
    "metadata": "model.onnx",
}
READERS: dict[str, Callable[[Path], object]] = {
    "state": read_run,
    "labels": lambda folder: read_label_sets(folder / "labels.json", np.arange(21) % 3, 1000),
    "symbol": lambda folder: read_source(folder / "net-0000.params"),
    "service": lambda folder: Classifier(folder)(PHOTO),
    "metadata": read_metadata,
}
PHOTO = encoded(Image.fromarray(photograph(48, 64)), "JPEG")


def wrong_metadata(content: bytes, random: Random) -> bytes:
    """The ONNX model, other things about which are said."""
    model = onnx.ModelProto.FromString(content)
    facts = {prop.key: prop.value for prop in model.metadata_props}
    changed: dict[str, object] = {}
    with contextlib.suppress(ValueError, RecursionError):  # what is no JSON is no text of ours
        changed = json.loads(wrong_json(json.dumps(facts).encode(), random))
    for key, value in changed.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if text.isprintable() and len(text) < 100_000 and key.isprintable():
            model.metadata_props.add(key=key, value=text)
    return bytes(model.SerializeToString())


def main() -> None:
    """Crafts and reads."""
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    whole, crafted = folder / "whole", folder / "crafted"

    def craft(random: Random, number: int) -> None:
        shutil.rmtree(crafted, ignore_errors=True)
        shutil.copytree(whole, crafted)
        path = crafted / FILES[kind]
        content = path.read_bytes()
        if kind == "metadata":
            path.write_bytes(wrong_metadata(content, random))
            return
        content = (wrong_json if number % 4 else spoilt)(content, random)
        with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError):
            content = sealed(content) if kind == "state" else content
        path.write_bytes(content)

    def read() -> None:
        with quiet():
            told(lambda: READERS[kind](crafted))

    craft_and_read(craft, read)


if __name__ == "__main__":
    main()
