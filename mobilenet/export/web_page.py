"""Makes of an ONNX file a static web page on which anybody tries the model with photos.

The page prepares a photo with the package's own arithmetic, in JavaScript (`web/`), and computes
the network by ONNX Runtime Web. Its folder works on every file server.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Mapping

import mobilenet
from mobilenet import files
from mobilenet.data.synset import names_of_classes, spoken_names
from mobilenet.errors import UserError, WeightsError
from mobilenet.export import web_runtime
from mobilenet.export.model_card import card, title
from mobilenet.export.web_runtime import MODULE, SHA256, WASM, Runtime, integrity
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.open_model import open_model
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.validation.validate import transform_as_json

_SOURCES = Path(__file__).with_name("web")
_PAGE, _FACTS, _MODEL, _WORKER = "index.html", "model.json", "model.onnx", "offline.js"
_GENERATOR = "mobilenet-mxnet"


def write_page(source: Path, folder: Path, runtime: Runtime) -> None:
    """Writes the page of the ONNX file `source` to `folder`; the same input gives the same bytes.

    The folder is there whole or not at all. A page that it held before is replaced.

    Raises:
        UserError: `folder` holds something else.
        WeightsError: `source` is not an ONNX image classifier.
    """
    check_folder(folder)
    if source.suffix != ".onnx":
        raise WeightsError(f"{source} is not an .onnx file; export the model first")
    content = {
        **{path.name: path.read_bytes() for path in sorted(_SOURCES.iterdir()) if path.is_file()},
        **{f"{runtime.address}/{name}": data for name, data in runtime.content.items()},
        _MODEL: source.read_bytes(),
        _FACTS: _json(_facts(open_model(source), OnnxModel(source), runtime)),
    }
    content[_PAGE] = _filled(content[_PAGE], _places(runtime))
    content[_WORKER] = _filled(content[_WORKER], _kept(content, runtime))
    with files.replaced_folder(folder.resolve()) as new:
        for name, data in content.items():
            (new / name).parent.mkdir(exist_ok=True)
            (new / name).write_bytes(data)


def check_folder(folder: Path) -> None:
    """Refuses a folder that would lose something if the page took its place.

    Raises:
        UserError: It holds something else than an earlier page, or is the current one.
    """
    if not folder.exists():
        return
    if folder.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UserError(f"--web {folder} is the current folder or above it; name a new one")
    own = {path.name for path in _SOURCES.iterdir()} | {_FACTS, _MODEL}
    found = {path.name for path in folder.iterdir() if not path.name.startswith("onnxruntime-web-")}
    is_page = (folder / _FACTS).is_file() and (folder / _PAGE).is_file()
    if found and not (is_page and found <= own):
        others = sorted(found - own) or sorted(found)
        raise UserError(
            f"--web {folder} holds {others[0]!r}, which is no part of a page; name a new folder"
        )


def _facts(model: LoadedModel, file: OnnxModel, runtime: Runtime) -> dict[str, Any]:
    """What the page has to know of the model."""
    names = names_of_classes(model.class_names, model.config.model.classes)
    is_probabilities = file.metadata.output == "probabilities"
    return {
        "title": title(model),
        "file": _MODEL,
        "file_name": model.path.name,
        "preprocessing": transform_as_json(model.transform),
        "input": {"type": str(file.dtype), "batch": file.batch_size or 1},
        "output": "probabilities" if is_probabilities else "logits",
        "runtime": {
            "module": runtime.url(MODULE),
            "wasm": runtime.url(WASM),
            "wasm_integrity": integrity(SHA256[WASM]),
        },
        "card": _card(model, file.metadata),
        "classes": list(spoken_names(names)),
    }


def _card(model: LoadedModel, metadata: Metadata) -> list[tuple[str, str]]:
    """The rows of the model card, and what is particular to the page."""
    runtime = f"ONNX Runtime Web {web_runtime.VERSION}, in WebAssembly by one thread"
    made = f"{_GENERATOR} {mobilenet.__version__}"
    own = [("Transparency", "parts of an image that are transparent count as black")]
    own += [("Computed by", runtime), ("Page made by", made)]
    return [*card(model, metadata), *own]


def _places(runtime: Runtime) -> dict[str, str]:
    """What index.html says of the runtime; a page may load nothing else from elsewhere."""
    module, wasm = runtime.url(MODULE), runtime.url(WASM)
    return {
        "generator": f"{_GENERATOR} {mobilenet.__version__}",
        "module": module,
        "module_integrity": integrity(SHA256[MODULE]),
        "module_source": "" if runtime.content else module,
        "wasm_source": "" if runtime.content else wasm,
    }


def _kept(content: Mapping[str, bytes], runtime: Runtime) -> dict[str, str]:
    """What the service worker keeps: every file but itself, each with its digest."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    del digests[_WORKER]
    digests["./"] = digests.pop(_PAGE)
    if not runtime.content:
        digests.update({runtime.url(name): digest for name, digest in SHA256.items()})
    kept = [(name, integrity(digest)) for name, digest in sorted(digests.items())]
    listed = json.dumps(kept, indent=2)
    return {"files": listed, "version": hashlib.sha256(listed.encode()).hexdigest()[:16]}


def _filled(template: bytes, values: Mapping[str, str]) -> bytes:
    text = template.decode()
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text.encode()


def _json(content: Mapping[str, Any]) -> bytes:
    return files.encoded(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
