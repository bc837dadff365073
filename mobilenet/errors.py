"""The exceptions that end a command with one sentence; ``cli`` alone catches them."""


class UserError(ValueError):
    """A mistake that the user can mend: says what, where and what would be right."""

    exit_code = 2


class ConfigError(UserError):
    """A setting that is unknown, repeated, mistyped, out of range or without effect."""


class DataError(UserError):
    """A source, record file or image that cannot be used as it is."""


class WeightsError(UserError):
    """Parameters, a checkpoint or an ONNX file that cannot be read or does not fit the network."""


class VerificationError(RuntimeError):
    """The work ran and the answer is no: a proof failed or a target was missed."""

    exit_code = 1


class RunStopped(Exception):  # noqa: N818 - not an error: it was asked for
    """A signal asked a run to stop, and it has saved itself."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number  # as shells report a death by that signal
