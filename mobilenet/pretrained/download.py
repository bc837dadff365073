"""Downloads a file over HTTP: all of it, or an error that says why not.

`requests` does the work; MXNet needs it anyway. The download functions of MXNet and gluoncv are not
used: both put a file under its final name before they look at its digest, and leave behind what an
interrupted call has written. The Hugging Face hub needs one GET as well, so that its client would
be one more dependency for nothing; files that the client has fetched before are found (`store`).
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
    """A host of weights, and the variable by which its users name a mirror of it."""

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
"""Ten times what the largest published file has."""
_CHUNK_BYTES = 1 << 16
_TIMEOUT_SECONDS = (10.0, 30.0)
"""Until a connection stands, and between two pieces of an answer."""
# Transparent compression would make the length of the answer unknown.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "mobilenet-mxnet"}
_RETRY = Retry(
    total=2, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), raise_on_status=False
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DownloadError(Exception):
    """Why a file did not come, to follow its address."""


def download(url: str, file: BinaryIO, title: str) -> Optional[str]:
    """Writes what is at `url` to `file`, with a bar that has the given title.

    Returns:
        The SHA-256 that the server states for the file, as the Hugging Face hub does.

    Raises:
        DownloadError: The server cannot be reached, has no such file or sends only a part of it.
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
    # Not all versions of urllib3 hold the length against what has come.
    if total is not None and received != total:
        raise DownloadError(f"only {received:,} of {total:,} bytes came")


def _chunks(response: requests.Response) -> Iterator[bytes]:
    yield from response.iter_content(_CHUNK_BYTES)


def _stated_digest(response: requests.Response) -> Optional[str]:
    """The SHA-256 that the first answer states: it may send on to a host that knows nothing."""
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
