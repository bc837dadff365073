"""The files of ILSVRC2012, as the organisers and Kaggle distribute them.

Sources: https://image-net.org/challenges/LSVRC/2012/ (names, numbers), the readme of its
development kit (labels of the validation images), the SHA-1 sums that gluoncv's
`scripts/datasets/imagenet.py` checks.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import tarfile
import zlib
from pathlib import Path
from typing import Any, Iterable

from mobilenet.errors import DataError
from mobilenet.packing.folder_trees import File, Folder, HeaderReader

TRAIN_TAR = "ILSVRC2012_img_train.tar"
VAL_TAR = "ILSVRC2012_img_val.tar"
TARS = {"train": TRAIN_TAR, "val": VAL_TAR}
NUM_IMAGES = {"train": 1_281_167, "val": 50_000}
NUM_CLASSES = 1000
KAGGLE_FOLDER = ("ILSVRC", "Data", "CLS-LOC")

_SHA1 = {
    TRAIN_TAR: "43eda4fe35c1705d6606a6a7a633bc965d194284",
    VAL_TAR: "5f3f73da3395154b60528b2b2a2caf2374f5f178",
}
_KAGGLE_LABELS = "LOC_val_solution.csv"
_DEVKIT = "ILSVRC2012_devkit_t12"
_DEVKIT_TAR = f"{_DEVKIT}.tar.gz"
_GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_META = "meta.mat"
_MAX_DEVKIT_FILE_BYTES = 1 << 26


def check_sha1(tar: Path) -> None:
    """Compares one of the tars with its published SHA-1.

    Raises:
        DataError: It differs.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    with tar.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != _SHA1[tar.name]:
        raise DataError(
            f"{tar}: its SHA-1 is {digest.hexdigest()}, but that of the original is "
            f"{_SHA1[tar.name]}; download it again"
        )


def validation_classes(folders: Iterable[Folder]) -> dict[str, str]:
    """The WordNet id of each validation image by its file name without suffix.

    Reads Kaggle's solution or the development kit (packed or not) in the first of the folders that
    has one.

    Raises:
        DataError: No folder has one, or it is not what it should be.
    """
    paths = []
    for folder in folders:
        if _KAGGLE_LABELS in folder.files:
            return _from_kaggle(folder.files[_KAGGLE_LABELS])
        if _DEVKIT_TAR in folder.files:
            return _from_devkit(_unpacked(folder.files[_DEVKIT_TAR]), _DEVKIT_TAR)
        if _DEVKIT in folder.folders:
            data = folder.folders[_DEVKIT].folders.get("data", Folder(""))
            contents = {name: file.read() for name, file in data.files.items()}
            return _from_devkit(contents, _DEVKIT)
        paths.append(folder.path)
    raise DataError(
        f"the validation images are not in class folders, and neither {_KAGGLE_LABELS} nor "
        f"{_DEVKIT_TAR} in {' or '.join(paths)} says what they show"
    )


def _from_kaggle(file: File) -> dict[str, str]:
    try:
        rows = list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"))))
        return {row["ImageId"]: row["PredictionString"].split()[0] for row in rows}
    except (KeyError, IndexError, AttributeError, UnicodeDecodeError, csv.Error):
        raise DataError(
            f"{file.path}: is not Kaggle's table of ImageId and PredictionString"
        ) from None


def _unpacked(file: File) -> dict[str, bytes]:
    """The two files that matter, by name."""
    contents = {}
    if file.size > _MAX_DEVKIT_FILE_BYTES:
        raise DataError(f"{file.path}: has {file.size:,} bytes, which no development kit has")
    try:
        unpacked: Any = gzip.GzipFile(fileobj=io.BytesIO(file.read()))
        with tarfile.open(fileobj=HeaderReader(unpacked), mode="r:") as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                if name in (_META, _GROUND_TRUTH) and member.size <= _MAX_DEVKIT_FILE_BYTES:
                    unpacked.seek(member.offset_data)
                    contents[name] = unpacked.read(member.size)
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error):
        raise DataError(f"{file.path}: is no tar.gz, or is damaged or cut off") from None
    return contents


def _from_devkit(contents: dict[str, bytes], where: str) -> dict[str, str]:
    absent = {_META, _GROUND_TRUTH} - contents.keys()
    if absent:
        raise DataError(f"{where}: lacks data/{min(absent)}")
    wordnet_ids = _wordnet_ids(contents[_META], where)
    try:
        classes = [wordnet_ids[int(number)] for number in contents[_GROUND_TRUTH].split()]
    except (KeyError, ValueError):
        raise DataError(
            f"{where}: {_GROUND_TRUTH} is not a list of the class numbers in {_META}"
        ) from None
    return {f"ILSVRC2012_val_{i:08d}": name for i, name in enumerate(classes, 1)}


def _wordnet_ids(meta: bytes, where: str) -> dict[int, str]:
    """WordNet ids of the leaf classes by ILSVRC2012_ID, a number that is not the usual label."""
    from scipy.io import loadmat  # noqa: PLC0415 - large, and for this file alone

    try:
        synsets: Any = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
        return {
            int(synset["ILSVRC2012_ID"]): str(synset["WNID"])
            for synset in synsets
            if synset["num_children"] == 0
        }
    except Exception as error:  # there is no end to what a damaged MATLAB file raises
        raise DataError(f"{where}: {_META} is not the table of classes ({error})") from None
