"""`weights`: lists published weights, and downloads them by name."""

from __future__ import annotations

import json
from argparse import Namespace

from mobilenet.commands.arguments import Adder, add_command, add_offline
from mobilenet.errors import WeightsError


def add_weights(adder: Adder) -> None:
    """Adds `weights`."""
    parser = add_command(adder, "weights", weights)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="weights to download, unless they are here"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_offline(parser)


def weights(arguments: Namespace) -> int:
    """List published weights, or download some by name and show their details."""
    from mobilenet.pretrained import listing
    from mobilenet.pretrained.published_weights import PUBLISHED_WEIGHTS, find
    from mobilenet.pretrained.store import fetch, stored

    chosen = [(name, find(name)) for name in arguments.names]
    known = [one for _, one in chosen if one is not None]
    if len(known) < len(chosen):
        name = next(name for name, one in chosen if one is None)
        raise WeightsError(
            f"{name}: no weights have this name; `mobilenet weights` lists all names"
        )
    paths = {one: fetch(one) if known else stored(one) for one in known or PUBLISHED_WEIGHTS}
    if arguments.json:
        print(json.dumps([listing.as_json(one, path) for one, path in paths.items()], indent=2))
    elif known:
        print("\n\n".join(listing.description(one, path) for one, path in paths.items()))
    else:
        print(listing.table(PUBLISHED_WEIGHTS))
    return 0
