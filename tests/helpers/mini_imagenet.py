"""The same few images in every form in which people have ImageNet."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

# Label among the 1000 classes, WordNet id, ILSVRC2012_ID: three orders that must not be confused.
CLASSES = ((0, "n01440764", 3), (281, "n02123045", 1), (999, "n15075141", 2))
VAL_CLASSES = (2, 0, 1, 1, 0)  # of each validation image, a position in CLASSES


def jpeg(*seed: int, size: tuple[int, int] = (40, 48)) -> bytes:
    """A random picture, smooth enough to survive JPEG."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.resize(noise, size[::-1]))[1].tobytes()


def train_images() -> dict[str, bytes]:
    """By class folder and file name."""
    return {
        f"{name}/{name}_{number}.JPEG": jpeg(1, position, number)
        for position, (_, name, _) in enumerate(CLASSES)
        for number in range(5 + position)
    }


def val_images() -> dict[str, bytes]:
    """By class folder and file name."""
    return {
        f"{CLASSES[position][1]}/ILSVRC2012_val_{number:08d}.JPEG": jpeg(2, number)
        for number, position in enumerate(VAL_CLASSES, 1)
    }


def labels() -> dict[str, int]:
    return {name: label for label, name, _ in CLASSES}


def write_files(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tar_bytes(contents: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def devkit() -> dict[str, bytes]:
    """The two files of the development kit, with an inner node of WordNet as in the real one."""
    fields = ["ILSVRC2012_ID", "WNID", "words", "num_children"]
    synsets = np.zeros((len(CLASSES) + 1, 1), [(field, object) for field in fields])
    rows = [(number, name, "some, words", 0) for _, name, number in CLASSES]
    for place, row in zip(synsets, [(1001, "n00001740", "entity", 2), *rows]):
        place[0] = row
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    truth = "".join(f"{CLASSES[position][2]}\n" for position in VAL_CLASSES)
    return {
        "ILSVRC2012_devkit_t12/data/meta.mat": meta.getvalue(),
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": truth.encode(),
        "ILSVRC2012_devkit_t12/readme.txt": b"",
    }


def flat_val_images() -> dict[str, bytes]:
    return {name.split("/")[1]: content for name, content in val_images().items()}


def both_splits() -> dict[str, bytes]:
    train = {f"train/{name}": content for name, content in train_images().items()}
    return {**train, **{f"val/{name}": content for name, content in val_images().items()}}


def official_tars(folder: Path) -> Path:
    by_class: dict[str, dict[str, bytes]] = {}
    for path, content in train_images().items():
        name, file = path.split("/")
        by_class.setdefault(name, {})[file] = content
    train = tar_bytes({f"{name}.tar": tar_bytes(files) for name, files in by_class.items()})
    contents = {
        "ILSVRC2012_img_train.tar": train,
        "ILSVRC2012_img_val.tar": tar_bytes(flat_val_images()),
        "ILSVRC2012_devkit_t12.tar.gz": tar_bytes(devkit(), "w:gz"),
    }
    return write_files(folder, contents)


def kaggle(folder: Path) -> Path:
    rows = "".join(
        f"{Path(name).stem},{name.split('/')[0]} 10 20 30 40 \n" for name in val_images()
    )
    write_files(folder, {"LOC_val_solution.csv": b"ImageId,PredictionString\n" + rows.encode()})
    write_files(folder / "ILSVRC/Data/CLS-LOC/train", train_images())
    write_files(folder / "ILSVRC/Data/CLS-LOC/val", flat_val_images())
    write_files(folder / "ILSVRC/Data/CLS-LOC/test", {"ILSVRC2012_test_00000001.JPEG": b"?"})
    write_files(folder / "ILSVRC/Annotations/CLS-LOC/val", {"ILSVRC2012_val_00000001.xml": b"<>"})
    return folder


def split_folders(folder: Path) -> Path:
    return write_files(folder, both_splits())


def tar(folder: Path, prefix: str = "", mode: str = "w") -> Path:
    contents = {f"{prefix}{name}": content for name, content in both_splits().items()}
    suffix = ".gz" if mode == "w:gz" else ""
    write_files(folder, {f"data.tar{suffix}": tar_bytes(contents, mode)})
    return folder / f"data.tar{suffix}"


def lists(folder: Path) -> tuple[Path, ...]:
    """Lists as im2rec writes them, with labels as floating-point numbers."""
    split_folders(folder / "images")
    for split in ("train", "val"):
        paths = sorted(name for name in both_splits() if name.startswith(split))
        text = "".join(
            f"{i}\t{labels()[path.split('/')[1]]:f}\timages/{path}\n"
            for i, path in enumerate(paths)
        )
        write_files(folder, {f"{split}.lst": text.encode()})
    return (folder / "train.lst", folder / "val.lst")
