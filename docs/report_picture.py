"""Makes the picture of a validation report in validation.md; needs Chromium and a run.

    python docs/report_picture.py [RUN]

RUN is `runs/quickstart/short` by default, a run of two epochs that still has errors to show; its
images are quickstart's, in `records` beside it. `make picture` makes it and runs this.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from mobilenet import files
from mobilenet.inference.open_model import open_model
from mobilenet.validation.report.report_files import write_report
from mobilenet.validation.validate import validate

PICTURE = Path(__file__).parent / "pictures" / "report.png"
_SIZE = (1280, 1500)
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
_NUM_COLOURS = 128


def main(run: Path, picture: Path) -> None:
    """Validates the run, and draws the upper part of the report into `picture`."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("the picture needs Chromium (apt-get install chromium)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # As quickstart lays them out; the run's own configuration has the path of this machine.
        write_report(validate(open_model(run), run.parent / "records"), folder)
        drawn = folder / "drawn.png"
        window = f"--window-size={_SIZE[0]},{_SIZE[1]}"
        page = (folder / "report.html").as_uri()
        command = [browser, *_FLAGS, f"--user-data-dir={folder / 'profile'}", window]
        call = [*command, f"--screenshot={drawn}", page]
        subprocess.run(call, check=True, capture_output=True, timeout=120)
        small = io.BytesIO()
        with Image.open(drawn) as image:
            image.convert("RGB").quantize(_NUM_COLOURS).save(small, "png", optimize=True)
    files.write_bytes(picture, small.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/quickstart/run"), PICTURE)
