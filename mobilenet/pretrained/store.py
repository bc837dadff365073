"""The local store of published weights, whose files are complete and have the right digest.

It is the folder `mobilenet/weights` in the user's cache. Files that MXNet, gluoncv or the client of
the Hugging Face hub have downloaded into their own folders are used from there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import lzma
import os
import re
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, BinaryIO, Iterator, Optional

from mobilenet.errors import WeightsError
from mobilenet.files import open_replaced
from mobilenet.pretrained.download import MAX_BYTES, REPOSITORIES, DownloadError, download
from mobilenet.pretrained.offline import switched_off
from mobilenet.pretrained.published_weights import PublishedWeights
from mobilenet.progress_bar import say

_CHUNK_BYTES = 1 << 20
_DAMAGED = ".damaged"
# The exceptions of zipfile for damaged archives.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, OSError),
    *(NotImplementedError, RuntimeError, ValueError),
)


def folder() -> Path:
    """The store: `mobilenet/weights` in $XDG_CACHE_HOME, by default ~/.cache.

    Raises:
        WeightsError: There is no home directory.
    """
    return _caches() / "mobilenet" / "weights"


def path_of(weights: PublishedWeights, digest: Optional[str] = None) -> Path:
    """The path of the file in the store; `digest` is needed if the table has none."""
    file = Path(weights.file)
    stated = "" if weights.digest else f"-{(digest or 'sha256:SHA256').partition(':')[2]}"
    return folder() / weights.owner / f"{file.stem}{stated}{file.suffix}"


def stored(weights: PublishedWeights) -> Optional[Path]:
    """The file with the right digest, anywhere on this machine; None if there is none."""
    return next((path for path, digest in _places(weights) if _has_digest(path, digest)), None)


def fetch(weights: PublishedWeights) -> Path:
    """The path of the file, which is downloaded if it is not on this machine.

    If several processes need it at once, one downloads it and the others wait.

    Raises:
        WeightsError: The file is not on this machine and cannot be downloaded, or the downloaded
            one has a wrong digest; nothing of it is kept.
    """
    path = stored(weights)
    if path is not None:
        return path
    variable = switched_off()
    if variable is not None:
        raise WeightsError(
            f"{weights.name}: is not on this machine{_damage(weights)}, and {variable} keeps it"
            f" from being downloaded from {url_of(weights)}; {_by_hand(weights)}"
        )
    with _alone(weights):
        return stored(weights) or _download(weights)


def url_of(weights: PublishedWeights) -> str:
    """The address of the file, or of the archive that it is in."""
    return f"{REPOSITORIES[weights.repository].url}/{weights.address}"


def _caches() -> Path:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return given if given.is_absolute() else _home() / ".cache"  # as XDG specifies


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise WeightsError(
            "there is no home directory for downloaded weights; set XDG_CACHE_HOME to a folder"
        ) from None


def _places(weights: PublishedWeights) -> Iterator[tuple[Path, str]]:
    """The possible paths of the file, each with the expected digest."""
    own = path_of(weights)
    if weights.digest:
        yield own, weights.digest
    else:
        pattern = re.compile(re.escape(Path(weights.file).stem) + r"-([0-9a-f]{64})")
        for path in sorted(own.parent.glob(f"*{own.suffix}")):
            if match := pattern.fullmatch(path.stem):
                yield path, f"sha256:{match[1]}"
    for path in _places_of_others(weights):
        # The client of the hub stores a large file by its digest, with a link by its name.
        yield path, weights.digest or f"sha256:{path.resolve().name}"


def _places_of_others(weights: PublishedWeights) -> Iterator[Path]:
    if weights.repository == "gluon":
        home = os.environ.get("MXNET_HOME")
        yield (Path(home).expanduser() if home else _home() / ".mxnet") / "models" / weights.file
        return
    repository, _, rest = weights.address.partition("/resolve/")
    cache = os.environ.get("HF_HUB_CACHE")
    home = os.environ.get("HF_HOME")
    hub = Path(cache) if cache else (Path(home) if home else _caches() / "huggingface") / "hub"
    snapshots = hub.expanduser() / f"models--{repository.replace('/', '--')}" / "snapshots"
    yield from sorted(snapshots.glob(f"*/{rest.partition('/')[2]}"))


def _has_digest(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return _digest_of(_chunks(file), digest) == digest
    except OSError:
        return False


def _digest_of(chunks: Iterator[bytes], like: str) -> str:
    """The digest of the bytes, by the algorithm of the digest `like`."""
    algorithm = like.partition(":")[0]
    found = hashlib.new(algorithm)
    for chunk in chunks:
        found.update(chunk)
    return f"{algorithm}:{found.hexdigest()}"


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


@contextlib.contextmanager
def _alone(weights: PublishedWeights) -> Iterator[None]:
    """Locks the file against downloads by other processes; waits for one that is running."""
    owner = folder() / weights.owner
    owner.mkdir(parents=True, exist_ok=True)
    with (owner / f".{weights.file}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{weights.name}: another process is downloading it; waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(weights: PublishedWeights) -> Path:
    url = url_of(weights)
    with tempfile.TemporaryFile(dir=folder() / weights.owner) as answer:  # no name is left behind
        try:
            stated = download(url, answer, weights.name)
        except DownloadError as error:
            raise WeightsError(
                f"{weights.name}: cannot be downloaded from {url}: {error}; {_by_hand(weights)}"
            ) from error
        digest = weights.digest or (stated and f"sha256:{stated}")
        if not digest:
            raise WeightsError(
                f"{weights.name}: {url} states no SHA-256 to check the file with;"
                f" {_by_hand(weights)}"
            )
        path = path_of(weights, digest)
        _set_aside(path)
        answer.seek(0)
        with open_replaced(path) as file, _content(answer, weights, url) as content:
            found = _digest_of(_copied(content, file), digest)
            if found != digest:
                raise WeightsError(
                    f"{weights.name}: what {url} sends is damaged or another file: its digest is"
                    f" {found} instead of {digest}; nothing of it was kept; {_by_hand(weights)}"
                )
    return path


@contextlib.contextmanager
def _content(answer: BinaryIO, weights: PublishedWeights, url: str) -> Iterator[IO[bytes]]:
    """The file itself, or the archive's member of that name.

    Raises:
        WeightsError: The archive is damaged, or has no such member.
    """
    if not weights.address.endswith(".zip"):
        yield answer
        return
    try:
        with zipfile.ZipFile(answer) as archive, archive.open(weights.file) as member:
            yield member
    except WeightsError:
        raise
    except _ZIP_ERRORS as error:
        # Of the disk; EINVAL is of a seek that damage asks for (Python 3.9 and 3.10).
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise WeightsError(
            f"{weights.name}: what {url} sends is no archive with {weights.file}, or a damaged one;"
            f" nothing of it was kept; {_by_hand(weights)}"
        ) from error


def _copied(content: IO[bytes], file: BinaryIO) -> Iterator[bytes]:
    """The bytes, as they are written to `file`; at most the limit of a download."""
    left = MAX_BYTES
    for chunk in _chunks(content):
        left -= len(chunk)
        if left < 0:
            raise ValueError("too many bytes")
        file.write(chunk)
        yield chunk


def _set_aside(path: Path) -> None:
    """Renames the file in the store, whose digest is wrong."""
    if path.exists():
        aside = path.with_name(path.name + _DAMAGED)
        path.replace(aside)
        say(f"{path}: is damaged; it is {aside.name} now, and is downloaded again")


def _damage(weights: PublishedWeights) -> str:
    path = path_of(weights)
    return f" ({path} is damaged: its digest is not {weights.digest})" if path.exists() else ""


def _by_hand(weights: PublishedWeights) -> str:
    """How to get the file without a download by this machine, to follow its address."""
    what = weights.file if weights.address.endswith(".zip") else "the file"
    digest = "" if weights.digest else ", by its own SHA256,"
    mirror = REPOSITORIES[weights.repository].variable
    return f"name a mirror by {mirror}, or put {what} from there{digest} at {path_of(weights)}"
