"""Writes example programs beside an ONNX file, which print what `predict` prints.

They are for those who receive the file: none needs MXNet or this package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from mobilenet import files
from mobilenet.errors import one_line
from mobilenet.export.example_in_cpp import in_cpp
from mobilenet.export.example_in_javascript import in_javascript
from mobilenet.export.example_in_python import in_python, needs_classes_file
from mobilenet.export.example_subject import Subject, subject_of

_WRITERS = {
    "py": (in_python, "_example.py"),
    "cpp": (in_cpp, "_example.cpp"),
    "js": (in_javascript, "_example.mjs"),
}


def write_examples(source: Path, languages: Sequence[str] = ("py",)) -> list[str]:
    """Writes an example in each of `languages` beside the ONNX file `source`; says where they are.

    They are NAME_example.py and so on for NAME.onnx. Where they do not find the classes in the
    ONNX file, NAME_example_classes.txt has them. The same file gives the same bytes. A file that
    has the name of an example but is none is left as it is.

    Raises:
        WeightsError: `source` is not an ONNX image classifier.
        UserError: There can be no example in one of the languages, which the message explains.
    """
    subject = subject_of(source)
    texts = {
        source.with_name(source.stem + ending): write(subject)
        for write, ending in map(_WRITERS.__getitem__, languages)
    }
    said = []
    for path, text in texts.items():
        if _is_example(path, text):
            files.write_text(path, text)
            said.append(f"Example: {path}")
        else:
            said.append(f"No example: {path} is something else, which is kept")
    if set(languages) != {"py"} or needs_classes_file(subject):
        files.write_text(source.with_name(subject.classes_file), _classes(subject))
    return said


def _is_example(path: Path, text: str) -> bool:
    """Whether the path is free, or has an earlier example: they have the first line in common."""
    if not path.exists():
        return True
    first_line = text.partition("\n")[0].encode()
    with path.open("rb") as file:
        return file.read(len(first_line)) == first_line


def _classes(subject: Subject) -> str:
    return "\n".join(map(one_line, subject.names))
