"""Which images a source has, and which label each of them gets."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path
from typing import Any, Optional

import mini_imagenet as mini
import pytest

from mobilenet.data.class_folder_labels import imagenet_words
from mobilenet.errors import DataError
from mobilenet.packing.image_sources import Request, Source, find


def source_of(
    *paths: Path, synset: Optional[str] = None, **options: Any
) -> tuple[Source, list[str]]:
    """The source, and what was said about it."""
    said: list[str] = []
    spool = paths[0].parent / "spool"
    path = None
    if synset is not None:
        path = paths[0].parent / "given.txt"
        path.write_text(synset, encoding="utf-8")
    defaults: dict[str, Any] = {"split": None, "root": None}
    request = Request(paths, path, spool=spool, say=said.append, **{**defaults, **options})
    return find(request), said


def labels_of(source: Source, split: str) -> dict[str, int]:
    return {image.name: image.label for image in source.splits[split]}


def tree(folder: Path, *names: str) -> Path:
    return mini.write_files(folder / "tree", dict.fromkeys(names, b"x"))


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    return tree(tmp_path, "train/dog/1.jpg", "train/cat/1.jpg", "train/golden retriever/1.jpg")


def test_labels_are_the_ranks_of_the_sorted_names(animals: Path) -> None:
    source, _ = source_of(animals)
    expected = {"cat/1.jpg": 0, "dog/1.jpg": 1, "golden retriever/1.jpg": 2}
    assert labels_of(source, "train") == expected
    assert source.classes.lines == ("cat", "dog", "golden retriever")


def test_a_given_synset_decides(animals: Path) -> None:
    synset = "\ufeffgolden retriever\nbird with words\ndog a dog, man's friend\r\ncat\n\n"
    source, _ = source_of(animals, synset=synset)
    expected = {"cat/1.jpg": 3, "dog/1.jpg": 2, "golden retriever/1.jpg": 0}
    assert labels_of(source, "train") == expected
    assert source.classes.lines[2] == "dog a dog, man's friend"


def test_a_synset_in_the_source_is_used_unless_one_is_given(animals: Path) -> None:
    (animals / "synset.txt").write_text("golden retriever\ndog\ncat\n")
    source, _ = source_of(animals)
    assert labels_of(source, "train")["cat/1.jpg"] == 2
    assert source.classes.origin == f"{animals}/synset.txt"
    source, _ = source_of(animals, synset="cat\ndog\ngolden retriever\n")
    assert labels_of(source, "train")["cat/1.jpg"] == 0


def test_a_synset_in_a_tar_is_used(tmp_path: Path) -> None:
    contents = {"top/synset.txt": b"b\na\n", "top/train/a/1.jpg": b"x", "top/train/b/1.jpg": b"x"}
    (tmp_path / "it.tar").write_bytes(mini.tar_bytes(contents))
    source, _ = source_of(tmp_path / "it.tar")
    assert labels_of(source, "train") == {"a/1.jpg": 1, "b/1.jpg": 0}


def test_wordnet_ids_have_imagenets_labels_also_when_few_are_present(tmp_path: Path) -> None:
    source, _ = source_of(tree(tmp_path, "train/n15075141/1.jpg", "train/n02123045/1.jpg"))
    assert labels_of(source, "train") == {"n15075141/1.jpg": 999, "n02123045/1.jpg": 281}
    assert len(source.classes.lines) == 1000


def test_names_are_those_that_gluoncv_gives() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the age of what gluoncv imports
        from gluoncv.data.imagenet.classification import ImageNet1kAttr  # noqa: PLC0415
    attributes = ImageNet1kAttr()
    expected = list(zip(attributes.synset, attributes.classes_long))
    assert list(imagenet_words().items()) == expected
    assert len(expected) == 1000


def test_a_smaller_synset_of_wordnet_ids_numbers_from_0_and_gets_words(tmp_path: Path) -> None:
    folder = tree(tmp_path, "train/n15075141/1.jpg", "train/n02123045/1.jpg")
    source, _ = source_of(folder, synset="n02123045\nn15075141 paper\n")
    assert labels_of(source, "train") == {"n02123045/1.jpg": 0, "n15075141/1.jpg": 1}
    assert source.classes.lines == ("n02123045 tabby, tabby cat", "n15075141 paper")


def test_wordnet_ids_beyond_imagenet_are_sorted_names(tmp_path: Path) -> None:
    source, _ = source_of(tree(tmp_path, "train/n00000001/1.jpg", "train/n02123045/1.jpg"))
    assert labels_of(source, "train") == {"n00000001/1.jpg": 0, "n02123045/1.jpg": 1}


@pytest.mark.parametrize(
    ("synset", "message"),
    [
        ("cat\ndog\n", r"given\.txt: has no line for the class folder 'golden retriever'$"),
        ("bird\n", r"class folder 'cat' \(and for 2 others\)"),
        ("cat\ndog\ncat\n", r"names the class 'cat' 2 times"),
        ("cat a\ndog\ncat b\n", r"names the class 'cat' 2 times"),
        ("cat\n\ndog\n", r"given\.txt:2: the line is empty"),
        ("", r"given\.txt:1: the line is empty"),
    ],
)
def test_synsets_that_do_not_do(synset: str, message: str, animals: Path) -> None:
    with pytest.raises(DataError, match=message):
        source_of(animals, synset=synset)


def test_a_synset_that_is_no_text(animals: Path) -> None:
    (animals / "synset.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"synset\.txt: is no UTF-8 text"):
        source_of(animals)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/a/1.jpg", "val/b/1.jpg"], r"class 'b' \(label 1\) has validation images but no"),
        (["train/a/1.jpg", "train/1.jpg"], r"the image '1\.jpg' is outside of the class folders"),
        (["train/1.jpg"], "train: has no class folders"),
        (["train/a/1.txt"], "train/a: the class folder holds no images"),
        (["val/1.jpg"], r"neither LOC_val_solution\.csv nor ILSVRC2012_devkit_t12\.tar\.gz in"),
        (["train/a/1.jpg", "Train/a/1.jpg"], "are both the split 'train'"),
        (["train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"], "are both the split 'val'"),
        (["1.jpg"], "tree: has no class folders"),
        (["1.txt"], "tree: has no class folders"),
    ],
)
def test_trees_that_do_not_do(names: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        source_of(tree(tmp_path, *names))


def test_an_empty_class_folder(tmp_path: Path) -> None:
    folder = tree(tmp_path, "train/a/1.jpg")
    (folder / "train" / "b").mkdir()
    with pytest.raises(DataError, match="train/b: the class folder holds no images"):
        source_of(folder)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    names = ["train/a/1.JPG", "train/a/notes.txt", "train/a/x/2.webp", "train/about", "docs/y"]
    source, _ = source_of(tree(tmp_path, *names))
    assert labels_of(source, "train").keys() == {"a/1.JPG", "a/x/2.webp"}
    assert sorted(source.ignored) == ["docs/", "train/a/notes.txt", "train/about"]


@pytest.mark.parametrize("name", ["val", "Val", "valid", "validation"])
def test_names_of_the_validation_folder(name: str, tmp_path: Path) -> None:
    source, _ = source_of(tree(tmp_path, "train/a/1.jpg", f"{name}/a/2.jpg"))
    assert labels_of(source, "val") == {"a/2.jpg": 0}


def test_one_class_folder_alone_is_a_class(tmp_path: Path) -> None:
    source, said = source_of(tree(tmp_path, "cat/1.jpg"))
    assert labels_of(source, "train") == {"cat/1.jpg": 0}
    assert source.layout == "class-folders"
    assert said[-1].endswith("has no train/ and no val/: its folders are classes")


def test_class_folders_in_a_lone_folder(tmp_path: Path) -> None:
    source, _ = source_of(tree(tmp_path, "data/images/cat/1.jpg", "data/images/dog/1.jpg"))
    assert labels_of(source, "train") == {"cat/1.jpg": 0, "dog/1.jpg": 1}


def test_flat_validation_images_with_an_unpacked_devkit(tmp_path: Path) -> None:
    mini.write_files(tmp_path / "tree" / "val", mini.flat_val_images())
    mini.write_files(tmp_path / "tree", mini.devkit())
    source, _ = source_of(tmp_path / "tree")
    expected = {name: mini.labels()[name.split("/")[0]] for name in mini.val_images()}
    assert labels_of(source, "val") == expected


def test_a_validation_image_without_label(tmp_path: Path) -> None:
    folder = mini.kaggle(tmp_path / "kaggle")
    (folder / "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000099.JPEG").write_bytes(b"x")
    with pytest.raises(DataError, match=r"val_00000099\.JPEG: the labels .* do not have it"):
        source_of(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", r"devkit_t12\.tar\.gz: is no tar\.gz"),
        (gzip.compress(b"no archive"), r"devkit_t12\.tar\.gz: is no tar\.gz"),
        (mini.tar_bytes(mini.devkit(), "w:gz")[:-200], r"devkit_t12\.tar\.gz: is no tar\.gz"),
        (mini.tar_bytes({}, "w:gz"), "lacks data/ILSVRC2012_validation_ground_truth"),
        (
            mini.tar_bytes({**mini.devkit(), "data/meta.mat": b"no matrix"}, "w:gz"),
            r"meta\.mat is not the table of classes",
        ),
        (
            mini.tar_bytes(
                {**mini.devkit(), "data/ILSVRC2012_validation_ground_truth.txt": b"7"}, "w:gz"
            ),
            r"is not a list of the class numbers in meta\.mat",
        ),
    ],
)
def test_development_kits_that_do_not_do(content: bytes, message: str, tmp_path: Path) -> None:
    folder = mini.official_tars(tmp_path / "tars")
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        source_of(folder)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"ImageId,PredictionString\nx\n", b"\xff"])
def test_solutions_that_do_not_do(content: bytes, tmp_path: Path) -> None:
    folder = mini.kaggle(tmp_path / "kaggle")
    (folder / "LOC_val_solution.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"LOC_val_solution\.csv: is not|labels .* do not have it"):
        source_of(folder)


def test_sources_that_are_none(tmp_path: Path) -> None:
    for content, message in (
        (b"PK\3\4zip", "is a zip; unpack it"),
        (b"hello", "is no tar"),
        (gzip.compress(b"x" * 9999)[:-9], "is damaged or cut off"),
        (gzip.compress(b"hello"), "is no tar"),
    ):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(DataError, match=message):
            source_of(tmp_path / "file")
    with pytest.raises(DataError, match="absent: cannot be read: No such file"):
        source_of(tmp_path / "absent")
    with pytest.raises(DataError, match="several sources must be"):
        source_of(tree(tmp_path, "a/1.jpg"), tmp_path)


def write_list(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tree(tmp_path, "cat/1.jpg", "dog/1.jpg", "3.jpg")


def test_a_list_has_its_own_labels(images: Path) -> None:
    path = write_list(images / "all.lst", "0\t3.000000\tcat/1.jpg", "7\t1.0\tdog/1.jpg", "")
    source, said = source_of(path)
    assert labels_of(source, "train") == {"cat/1.jpg": 3, "dog/1.jpg": 1}
    assert source.classes.lines == ("0", "dog", "2", "cat")
    assert said == [f"{path}: taken for the split 'train'"]


def test_a_list_whose_folders_are_no_classes(images: Path) -> None:
    path = write_list(images / "my_val.lst", "0\t0\tcat/1.jpg", "1\t1\tcat/1.jpg", "2\t2\t3.jpg")
    source, _ = source_of(path)
    assert source.classes.lines == ("0", "1", "2")
    assert [image.label for image in source.splits["val"]] == [0, 1, 2]


def test_a_list_with_a_root_and_a_split(images: Path, tmp_path: Path) -> None:
    path = write_list(tmp_path / "x.lst", "0\t0\tcat/1.jpg")
    source, _ = source_of(path, root=images, split="val")
    (image,) = source.splits["val"]
    assert image.file.read() == b"x"


def test_a_list_and_a_synset_must_agree(images: Path, tmp_path: Path) -> None:
    path = write_list(images / "x.lst", "0\t0\tcat/1.jpg", "1\t1\tdog/1.jpg")
    source, _ = source_of(path, synset="cat a cat\ndog\nbird\n")
    assert source.classes.lines == ("cat a cat", "dog", "bird")
    with pytest.raises(DataError, match=r"labels the folder 'cat' 0, but in .* its label is 1"):
        source_of(path, synset="dog\ncat\n")
    path = write_list(images / "x.lst", "0\t4\t3.jpg")
    with pytest.raises(DataError, match=r"has the label 4, but .*given\.txt only 2 lines"):
        source_of(path, synset="dog\ncat\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0\tcat/1.jpg", r"x\.lst:1: has 2 columns"),
        ("0\t1\t2\tcat/1.jpg", "has 4 columns"),
        ("0\tone\tcat/1.jpg", "the label 'one' is not one of 0, 1, 2"),
        ("0\t0.5\tcat/1.jpg", r"the label '0\.5' is not"),
        ("0\t-1\tcat/1.jpg", "the label '-1' is not"),
        ("0\tnan\tcat/1.jpg", "the label 'nan' is not"),
        ("0\t1e300\tcat/1.jpg", "the label '1e300' is not"),
        ("0\t0\tabsent.jpg", r"absent\.jpg: cannot be read: No such file"),
        ("0\t0\tcat", "cat: is no regular file"),
        ("0\t0\ta\0b", "embedded null"),
    ],
)
def test_lines_that_do_not_do(line: str, message: str, images: Path) -> None:
    with pytest.raises(DataError, match=message):
        source_of(write_list(images / "x.lst", line))


def test_lists_that_do_not_do(images: Path) -> None:
    with pytest.raises(DataError, match="there are no images for the split 'train'"):
        source_of(write_list(images / "x.lst"))
    one, two = (write_list(images / f"{name}.lst", "0\t0\t3.jpg") for name in "ab")
    with pytest.raises(DataError, match="is a second list for the split 'train'"):
        source_of(one, two)
    (images / "x.lst").write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read as a list"):
        source_of(images / "x.lst")
    with pytest.raises(DataError, match="cannot be read as a list"):
        source_of(images / "absent.lst")
    with pytest.raises(DataError, match=r"a root .* goes with \.lst files"):
        source_of(images, root=images)


def test_folders_named_by_numbers_are_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    source, _ = source_of(tree(tmp_path, *(f"train/{n}/1.jpg" for n in (10, 0, 100, 2, 1))))
    assert source.classes.lines == ("0", "1", "2", "10", "100")
    assert labels_of(source, "train")["10/1.jpg"] == 3
    assert source.classes.origin == "the numbers that the class folders are named by"
    # Not of the same number, or beside other names, they are names like all others.
    source, _ = source_of(tree(tmp_path, "train/01/1.jpg"))
    assert source.classes.lines == ("0", "01", "1", "10", "100", "2")


def test_a_synset_of_several_words_and_a_split_without_some_of_its_classes(tmp_path: Path) -> None:
    synset = "polar bear\npolar fox\nred fox\nfox\nfox terrier\n"
    source, _ = source_of(tree(tmp_path, "val/red fox/1.jpg", "val/fox/1.jpg"), synset=synset)
    assert labels_of(source, "val") == {"red fox/1.jpg": 2, "fox/1.jpg": 3}
    assert source.classes.lines == tuple(synset.splitlines())


def test_accents_may_be_written_in_two_ways(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    folder = tree(tmp_path, f"train/{composed}/1.jpg", f"val/{decomposed}/2.jpg")
    for synset in (None, f"{decomposed}\ntea\n", f"{composed}\ntea\n"):
        source, _ = source_of(folder, synset=synset)
        assert labels_of(source, "train") == {f"{composed}/1.jpg": 0}
        assert labels_of(source, "val") == {f"{composed}/2.jpg": 0}
        assert source.classes.lines[0] == composed
    tree(tmp_path, f"train/{decomposed}/1.jpg")
    with pytest.raises(DataError, match="is there twice, with its accents written in two ways"):
        source_of(folder)


def test_a_solution_with_a_byte_order_mark(tmp_path: Path) -> None:
    folder = mini.kaggle(tmp_path / "kaggle")
    solution = folder / "LOC_val_solution.csv"
    solution.write_bytes(b"\xef\xbb\xbf" + solution.read_bytes())
    source, _ = source_of(folder)
    assert len(source.splits["val"]) == 5


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    source, _ = source_of(tree(tmp_path, "train/1.jpg", "car/1.jpg", "bus/1.jpg"))
    assert source.classes.lines == ("bus", "car", "train")
