"""`export` of several models, widths or resolutions: one file each, and a table of them."""

from __future__ import annotations

import itertools
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Sequence

from mobilenet.commands.arguments import load_config
from mobilenet.commands.json_output import write_result
from mobilenet.skipped_items import SkippedItems

# The function that exports each member, by its name.
_Exports = dict[str, Callable[[], Any]]


def export_family(
    arguments: Namespace, paths: Sequence[Path], overrides: list[str], graph: dict[str, Any]
) -> int:
    """Exports every member and prints a table of those that succeeded; returns the exit code.

    Args:
        arguments: The arguments of `export`.
        paths: The models, or the YAML file of an untrained family.
        overrides: Settings `key.sub=value` for all of them.
        graph: The given arguments of `GraphOptions`, by name.
    """
    from mobilenet.export.width_family import table
    from mobilenet.onnx.graph import GraphOptions

    plan = _plan_untrained if arguments.untrained else _plan_trained
    exports = plan(arguments, paths, overrides, GraphOptions(**graph))
    skipped, members = SkippedItems("files", len(exports)), []
    for name, make in exports.items():
        with skipped.skipping(name):
            members.append(make())
    print(table(members))
    write_result(arguments.json, [member.as_json() for member in members])
    skipped.check()
    return 0


def _plan_trained(
    arguments: Namespace, paths: Sequence[Path], overrides: list[str], options: Any
) -> _Exports:
    from mobilenet.export.width_family import export_member, plan_family
    from mobilenet.inference.open_model import open_model

    models = [open_model(path, arguments.config, overrides, as_network=True) for path in paths]
    members = plan_family(models, arguments.resolutions, arguments.output)
    return {
        member.path.name: partial(export_member, member, options, arguments.data)
        for member in members
    }


def _plan_untrained(
    arguments: Namespace, paths: Sequence[Path], overrides: list[str], options: Any
) -> _Exports:
    from mobilenet.export.width_family import export_untrained_family

    config = load_config(paths[0], overrides)
    widths = arguments.widths or (config.model.width_multiplier,)
    resolutions = arguments.resolutions or (config.data.resolution,)

    def make(size: tuple[float, int]) -> Any:
        return next(export_untrained_family(config, [size], arguments.output, options))

    sizes = sorted(itertools.product(widths, resolutions))
    return {f"{width:g}-{pixels}": partial(make, (width, pixels)) for width, pixels in sizes}
