"""Small square images, written into the page itself."""

from __future__ import annotations

import base64

import cv2

from mobilenet.data.eval_transforms import decode
from mobilenet.validation.report.html_elements import Markup, element
from mobilenet.validation.report.report_data import Report

_SIZE = 160


def thumbnail_url(image: bytes | memoryview) -> str:
    """A `data:` address of the central square of an encoded image, as a JPEG of 160 pixels."""
    pixels = decode(image)
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    square = pixels[top : top + side, left : left + side, ::-1]
    # Averaging over areas, or scaled-down photographs sparkle.
    small = cv2.resize(square, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return f"data:image/jpeg;base64,{base64.b64encode(content.tobytes()).decode()}"


def labelled_thumbnail(report: Report, place: int) -> Markup:
    """The thumbnail of the image at `place`, with its label as the alternative text."""
    label = report.class_names[int(report.predictions.labels[place])]
    source = thumbnail_url(report.image(place))
    return element("img", src=source, alt=f"{report.name(place)}, labelled {label}", loading="lazy")
