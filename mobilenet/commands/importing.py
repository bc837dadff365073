"""`import`: weights of other programs."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mobilenet.commands.arguments import Adder, add_command, add_json
from mobilenet.commands.json_output import write_result


def add_import(adder: Adder) -> None:
    """Adds `import`."""
    parser = add_command(adder, "import", import_)
    add = parser.add_argument
    add(
        "file", type=Path, metavar="FILE",
        help=".params of Gluon, .onnx, .safetensors of torchvision or timm, or .npz of them, of"
        " Keras or of TensorFlow's slim",
    )  # fmt: skip
    add(
        "--output", type=Path, required=True, metavar="OUT",
        help="writes OUT.params, its configuration OUT.yaml and, for class names, OUT-synset.txt",
    )  # fmt: skip
    add_json(parser)


def import_(arguments: Namespace) -> int:
    """Import weights of other programs, of any width, without unpickling anything."""
    from mobilenet.foreign.import_weights import import_weights

    result = import_weights(arguments.file, arguments.output)
    print(result.summary())
    write_result(arguments.json, result.as_json())
    return 0
