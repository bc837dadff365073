"""ONNX Runtime Web, which computes the network in a browser: fetched, read from a disk, or linked.

Two files of the npm package `onnxruntime-web` are enough. What they hold is fixed by their SHA-256,
wherever they come from; a browser checks it as well.
"""

from __future__ import annotations

import base64
import hashlib
import re
import tarfile
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Mapping, Union

from mobilenet import files
from mobilenet.errors import UserError
from mobilenet.pretrained import store
from mobilenet.pretrained.download import DownloadError, Repository, download
from mobilenet.pretrained.offline import switched_off

VERSION = "1.30.0"
MODULE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
SHA256 = {
    MODULE: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
FOLDER = f"onnxruntime-web-{VERSION}"
"""The folder of a page that holds them."""
# Servers that know no .mjs send it as a type that browsers do not run.
NAMES = {MODULE: MODULE.replace(".mjs", ".js"), WASM: WASM}
"""What the files are called in that folder."""
CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist"

_REGISTRY = Repository("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org")
_ARCHIVE = f"onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
_MAX_BYTES = 1 << 25
# What stands in a content security policy as it is.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/@%+\[\]-]+")
_BY_HAND = (
    f"name a folder or archive of onnxruntime-web {VERSION} by --web-runtime PATH, or let the page"
    " load it from a CDN by --web-runtime cdn"
)

Source = Union[None, str, Path]
"""None: this machine's cache, or else the npm registry; an address; or a folder or archive."""


@dataclass(frozen=True)
class Runtime:
    """Where a page has the runtime from."""

    address: str
    """Of the folder of both files, as the page sees it."""
    content: Mapping[str, bytes] = field(default_factory=dict)
    """The files of the page by their names; none if it links to them."""

    def url(self, name: str) -> str:
        """The address of a file, `MODULE` or `WASM`."""
        return f"{self.address}/{NAMES[name] if self.content else name}"


def integrity(digest: str) -> str:
    """A SHA-256 in hexadecimal digits as browsers want it (W3C Subresource Integrity)."""
    return f"sha256-{base64.b64encode(bytes.fromhex(digest)).decode()}"


def find_runtime(source: Source = None) -> Runtime:
    """The runtime from `source`; what an address has is checked by the browser alone.

    Raises:
        UserError: It is not there, is another version or damaged, or cannot be downloaded.
    """
    if isinstance(source, str):
        if not _ADDRESS.fullmatch(source):
            raise UserError(
                f"--web-runtime {source!r}: no address that a page can load from; {_BY_HAND}"
            )
        return Runtime(source.rstrip("/"))
    found = _cached() if source is None else _read(source)
    return Runtime(FOLDER, {NAMES[name]: content for name, content in found.items()})


def _cached() -> dict[str, bytes]:
    folder = store.folder().with_name(FOLDER)
    if not all(_is_right(folder / name, digest) for name, digest in SHA256.items()):
        for name, content in _downloaded(f"{_REGISTRY.url}/{_ARCHIVE}").items():
            files.write_bytes(folder / name, content)
    return {name: (folder / name).read_bytes() for name in SHA256}


def _is_right(path: Path, digest: str) -> bool:
    return path.is_file() and files.sha256_of(path) == digest


def _downloaded(url: str) -> dict[str, bytes]:
    variable = switched_off()
    if variable is not None:
        raise UserError(
            f"ONNX Runtime Web {VERSION} is not on this machine, and {variable} keeps it from being"
            f" downloaded from {url}; {_BY_HAND}"
        )
    with tempfile.TemporaryFile() as file:
        try:
            download(url, file, FOLDER)
        except DownloadError as error:
            raise UserError(
                f"ONNX Runtime Web {VERSION} cannot be downloaded from {url}: {error}; {_BY_HAND}"
            ) from error
        file.seek(0)
        return _of_archive(file, url)


def _read(path: Path) -> dict[str, bytes]:
    if path.is_dir():
        return _of_folder(path)
    try:
        with path.open("rb") as file:
            return _of_archive(file, str(path))
    except FileNotFoundError:
        raise UserError(f"--web-runtime {path}: no such file or folder; {_BY_HAND}") from None


def _of_folder(path: Path) -> dict[str, bytes]:
    """The files in `path` itself or its folder `dist`, where npm has them."""
    folder = path / "dist" if (path / "dist").is_dir() else path
    found = {}
    for name in SHA256:
        if not (folder / name).is_file():
            raise UserError(f"--web-runtime {folder}: has no {name}; {_BY_HAND}")
        with (folder / name).open("rb") as file:
            found[name] = _checked(name, file.read(_MAX_BYTES), str(folder))
    return found


def _of_archive(file: BinaryIO, where: str) -> dict[str, bytes]:
    """The files in an archive as `npm pack` writes it; nothing is unpacked to the disk."""
    found = {}
    try:
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            for name in SHA256:
                member = archive.extractfile(f"package/dist/{name}")
                content = b"" if member is None else member.read(_MAX_BYTES)
                found[name] = _checked(name, content, where)
    except (tarfile.TarError, EOFError, zlib.error, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk
            raise
        raise UserError(
            f"{where} is no archive of onnxruntime-web {VERSION}, or a damaged one; {_BY_HAND}"
        ) from error
    return found


def _checked(name: str, content: bytes, where: str) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        raise UserError(
            f"{where}: {name} is damaged or of another version than {VERSION}: its SHA-256 is"
            f" {digest} instead of {SHA256[name]}; {_BY_HAND}"
        )
    return content
