"""ONNX Runtime reports nothing to its maker."""

import os
import subprocess
import sys
from pathlib import Path

_SUPPRESSES_TOO = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "GITHUB_ACTIONS")


def test_no_identifier_of_the_machine_is_written(tmp_path: Path) -> None:
    """The identifier and the events would lie in the cache folder until they are sent."""
    environment = {name: v for name, v in os.environ.items() if name not in _SUPPRESSES_TOO}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    program = "import mobilenet, mobilenet.onnx.runtime, onnxruntime; onnxruntime.SessionOptions()"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert not list(tmp_path.iterdir())
