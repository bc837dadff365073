"""The example in JavaScript for Node: ONNX Runtime, sharp for decoding, and the page's modules."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mobilenet.export.example_subject import Subject, filled, quoted
from mobilenet.validation.validate import transform_as_json

_WEB = Path(__file__).with_name("web")
_MODULES = ("resampling.js", "preprocessing.js", "guesses.js")


def in_javascript(subject: Subject) -> str:
    """The program's text."""
    return filled(
        "javascript.txt",
        {
            "model": quoted(subject.path.name),
            "classes": quoted(subject.classes_file),
            "input": json.dumps({"type": subject.dtype, "batch": subject.batch}),
            "preprocessing": json.dumps(transform_as_json(subject.transform)),
            "output": quoted("probabilities" if subject.gives_probabilities else "logits"),
            "modules": "\n".join(_inlined(_WEB / name) for name in _MODULES),
        },
    )


def _inlined(module: Path) -> str:
    """A module's text as part of another one."""
    text = module.read_text(encoding="utf-8")
    return re.sub(r"^export (?=function|const)|^import .*\n", "", text, flags=re.MULTILINE)
