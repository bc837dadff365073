"""Downloads a complete file over HTTP, or raises an error that says why not.

Uses `requests`, which MXNet needs anyway. The download functions of MXNet and gluoncv are not used:
they give a file its final name before they check its digest, and leave partial files behind. The
Hugging Face hub needs only a GET, too, so that its client is no dependency; files that the client
has downloaded are found (`store`).
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO, Iterator, NamedTuple, Optional

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from mobilenet.errors import one_line, shortened
from mobilenet.progress_bar import watched


class Repository(NamedTuple):
    """A host of weights, and the environment variable that names a mirror of it."""

    variable: str
    address: str

    @property
    def url(self) -> str:
        """The address of the mirror, or else the host's own."""
        return (os.environ.get(self.variable) or self.address).rstrip("/")


REPOSITORIES = {
    "gluon": Repository(
        "MXNET_GLUON_REPO", "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com"
    ),
    "hub": Repository("HF_ENDPOINT", "https://huggingface.co"),
}

MAX_BYTES = 1 << 28
"""Limit of a download: ten times the size of the largest published file."""
_CHUNK_BYTES = 1 << 16
_TIMEOUT_SECONDS = (10.0, 30.0)
"""For connecting, and between two pieces of a response."""
# With transparent compression the length of the response would be unknown.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "mobilenet-mxnet"}
_RETRY = Retry(
    total=2, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), raise_on_status=False
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DownloadError(Exception):
    """Why a download failed, to follow the address."""


def download(url: str, file: BinaryIO, title: str) -> Optional[str]:
    """Writes the content of `url` to `file`, with a progress bar of the given title.

    Returns:
        The SHA-256 that the server states for the file, as the Hugging Face hub does.

    Raises:
        DownloadError: The server cannot be reached, has no such file, or sends only a part of it.
    """
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=_RETRY))
        try:
            with session.get(
                url, stream=True, headers=_HEADERS, timeout=_TIMEOUT_SECONDS
            ) as response:
                _check_status(response)
                _receive(response, file, title)
                return _stated_digest(response)
        except requests.RequestException as error:
            raise DownloadError(_reason(error)) from error


def _check_status(response: requests.Response) -> None:
    if response.status_code != requests.codes.ok:
        reason = shortened(one_line(response.reason or ""))
        raise DownloadError(f"the server answers {response.status_code} {reason}".rstrip())


def _receive(response: requests.Response, file: BinaryIO, title: str) -> None:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    received = 0
    for chunk in watched(_chunks(response), title, total, len, unit="bytes"):
        received += file.write(chunk)
        if received > MAX_BYTES:
            raise DownloadError(f"the server sends more than {MAX_BYTES:,} bytes")
    # Not all versions of urllib3 check the length.
    if total is not None and received != total:
        raise DownloadError(f"only {received:,} of {total:,} bytes came")


def _chunks(response: requests.Response) -> Iterator[bytes]:
    yield from response.iter_content(_CHUNK_BYTES)


def _stated_digest(response: requests.Response) -> Optional[str]:
    """The SHA-256 in the first response; it may redirect to a host that does not state it."""
    first = (response.history or [response])[0]
    for header in ("X-Linked-Etag", "ETag"):
        text: str = first.headers.get(header, "").removeprefix("W/").strip('"')
        if _SHA256.fullmatch(text):
            return text
    return None


_REASONS = (
    (requests.Timeout, "no answer in time"),
    (requests.exceptions.SSLError, "its certificate is not accepted"),
    (requests.exceptions.ChunkedEncodingError, "the connection broke"),
    (requests.ConnectionError, "no connection"),
    (requests.TooManyRedirects, "it redirects without an end"),
)


def _reason(error: requests.RequestException) -> str:
    for kind, text in _REASONS:
        if isinstance(error, kind):
            return text
    return shortened(one_line(str(error)), 120)
