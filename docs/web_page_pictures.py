"""Makes the pictures of web_page.md; needs Chromium and a page with trained weights.

    python docs/web_page_pictures.py PAGE

PAGE is the folder that `mobilenet export MODEL --web PAGE` wrote. The photo, of Rear Admiral Grace
Hopper by the US Navy, is in the public domain and comes with matplotlib.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path

from matplotlib import cbook
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from browser import Browser, browsing, serving_folder  # noqa: E402
from tried_page import open_page, try_photo  # noqa: E402

from mobilenet import files  # noqa: E402

PICTURES = {"web-page.png": (900, 1040, False), "web-page-phone.png": (360, 780, True)}
_NUM_COLOURS = 64


def main(page: Path) -> None:
    """Draws the page with an answer at the width of a desktop and of a phone."""
    photo = Path(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving_folder(page) as server,
        browsing(Path(scratch)) as browser,
    ):
        for name, (width, height, is_phone) in PICTURES.items():
            browser.resize(width, height, is_phone)
            open_page(browser, server.url)
            try_photo(browser, photo)
            files.write_bytes(ROOT / "docs" / "pictures" / name, _drawn(browser))


def _drawn(browser: Browser) -> bytes:
    shot = base64.b64decode(browser.call("Page.captureScreenshot", format="png")["data"])
    small = io.BytesIO()
    with Image.open(io.BytesIO(shot)) as image:
        image.convert("RGB").quantize(_NUM_COLOURS, dither=Image.Dither.NONE).save(
            small, "png", optimize=True
        )
    return small.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
