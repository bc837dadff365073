"""What `export` makes beside the ONNX file: one description of it per kind."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional


class Network(NamedTuple):
    """A network, and the configuration that it was built by."""

    block: Any
    config: Any


@dataclass(frozen=True)
class Made:
    """An ONNX file, and what it was made from."""

    file: Path
    network: Callable[[], Network]
    """Opens the network that is in the file."""
    images: Optional[Path] = None
    """Record file or folder of real images, if there are any."""
    is_new: bool = True
    """Whether the file was exported now; if not, it is packed as it is."""


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Companion:
    """A further output of `export`, made when its option is given."""

    name: str
    """The option without its dashes."""
    add: Callable[[ArgumentParser], None]
    """Adds the option, and the options that only matter with it."""
    write: Callable[[Made, Namespace], list[str]]
    """Makes the output; returns the lines to print."""
    check: Callable[[Namespace], None] = _nothing
    """Refuses wrong options before the work begins, whether or not this one is given."""
    check_model: Callable[[Namespace, Any, Any], None] = _nothing
    """Refuses the opened model with these `GraphOptions` before the export, if it is given."""
    check_config: Callable[[Any], None] = _nothing
    """Refuses the network's configuration before the export, if the option is given."""
    is_default: bool = False
    """Whether a new file has it without the option."""

    def is_wanted(self, arguments: Namespace) -> bool:
        """Whether the option is given."""
        return getattr(arguments, self.name) is not None
