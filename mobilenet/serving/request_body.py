"""Receives the body of a request, within limits and in memory alone, and finds the image in it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import FormParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mobilenet.errors import DataError
from mobilenet.serving.limits import Limits

# It would write a line of the log for each damaged form, of which the client is told.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

_FORM = "multipart/form-data"
_FIELDS = (b"data", b"image")
_NO_IMAGE = "send one image: as the body, or as the field 'data' or 'image' of a form"


async def receive(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Raises:
        HTTPException: It is too large (413) or arrives too slowly (408).
        ClientDisconnect: The client has left.
    """
    too_large = HTTPException(413, f"the body has more than {limits.max_body_bytes:,} bytes")
    if int(request.headers.get("content-length", 0)) > limits.max_body_bytes:
        raise too_large

    async def whole() -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            if len(body) + len(chunk) > limits.max_body_bytes:
                raise too_large
            body += chunk
        return bytes(body)

    try:
        return await asyncio.wait_for(whole(), limits.body_seconds)
    except asyncio.TimeoutError:
        seconds, close = f"{limits.body_seconds:g}", {"Connection": "close"}
        raise HTTPException(
            408, f"the body has not arrived within {seconds} seconds", close
        ) from None


def image_in(body: bytes, content_type: str) -> bytes:
    """The encoded image: the body itself, whatever its type is said to be, or a field of a form.

    Raises:
        DataError: There is none, or the form is damaged.
    """
    kind, options = parse_options_header(content_type)
    if kind.decode("latin-1").lower() != _FORM:
        image = body
    else:
        image = _field_of(body, options.get(b"boundary"))
    if not image:
        raise DataError(_NO_IMAGE)
    return image


def _field_of(body: bytes, boundary: bytes | None) -> bytes:
    found: list[bytes] = []

    def on_field(field: Any) -> None:
        if field.field_name in _FIELDS and field.value:
            found.append(field.value)

    def on_file(file: Any) -> None:
        if file.field_name in _FIELDS:
            file.file_object.seek(0)
            found.append(file.file_object.read())

    # By default a large field would go to a file on the disk.
    in_memory: Any = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
    try:
        parser = FormParser(_FORM, on_field, on_file, boundary=boundary, config=in_memory)
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise DataError(f"the form is damaged; {_NO_IMAGE}") from None
    return found[0] if found else b""
