"""One bad item among several: the others are done all the same, and exit code 1 says so.

The rule for every command that takes several things and treats each by itself: images to predict,
checkpoints to validate, runs to compare, models to export. Where all items make one figure, such as
an accuracy, a bad one ends the command instead: a figure over the others would be another figure.
"""

from __future__ import annotations

import contextlib
from typing import Iterator

from mobilenet.errors import UserError, VerificationError
from mobilenet.progress_bar import say

_NUM_NAMED = 20


class BadItems:
    """Collects the items that are left out; a single item is never left out, it fails."""

    def __init__(self, noun: str, total: int) -> None:
        self._noun, self._total = noun, total
        self._names: list[str] = []

    @contextlib.contextmanager
    def leaving_out(self, name: object) -> Iterator[None]:
        """Leaves the item `name` out if the block fails with one of the package's own errors.

        Says so on standard error, and goes on after the block.

        Raises:
            UserError, VerificationError: The item has failed and is the only one.
        """
        try:
            yield
        except (UserError, VerificationError) as error:
            if self._total == 1:
                raise
            self._names.append(str(name))
            say(f"left out: {error}")

    def check(self) -> None:
        """Does nothing if no item was left out.

        Raises:
            VerificationError: Items were left out; names them.
        """
        if self._names:
            more = len(self._names) - _NUM_NAMED
            names = ", ".join(self._names[:_NUM_NAMED]) + (f" and {more} more" if more > 0 else "")
            raise VerificationError(
                f"{len(self._names)} of {self._total} {self._noun} left out: {names}"
            )


NONE_LEFT_OUT = BadItems("items", 1)
"""For callers that want the first error itself."""
