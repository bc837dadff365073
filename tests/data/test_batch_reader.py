"""Batches: every record where it belongs, and the same bytes whatever the threads do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from small_records import (
    AUGMENTATION,
    NUM_RECORDS,
    PREPROCESSING,
    image_of,
    record_file,
    train_reader,
)

from mobilenet.data.batch_reader import Batch, EvalReader, TrainReader
from mobilenet.data.epoch_order import augmentation_draws, epoch_order
from mobilenet.data.eval_transforms import EvalTransform, planes
from mobilenet.data.record_file import RecordFile
from mobilenet.data.training_augmentation import NUM_DRAWS
from mobilenet.errors import DataError


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return [image_of(position) for position in range(NUM_RECORDS)]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory, images: list[bytes]) -> RecordFile:
    return record_file(tmp_path_factory.mktemp("records") / "train.rec", images)


def damaged(tmp_path: Path, images: list[bytes], bad: list[int]) -> RecordFile:
    """The records with the images at the positions `bad` made undecodable."""
    return record_file(
        tmp_path / "train.rec", [b"x" * 99 if i in bad else image for i, image in enumerate(images)]
    )


def augmented(image: bytes, draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    (augmentation,) = AUGMENTATION.augmentations(draws[None])
    pixels = AUGMENTATION.pixels(image, augmentation)
    return AUGMENTATION.normalization(planes(pixels[..., ::-1].copy()))


def content(batch: Batch) -> tuple[bytes, ...]:
    return tuple(array.tobytes() for array in batch)


class TestEval:
    @pytest.mark.parametrize("batch_size", [1, 7, 16, 53, 54, 200])
    @pytest.mark.parametrize("num_workers", [0, 1, 5])
    def test_every_record_once_in_order(
        self, records: RecordFile, batch_size: int, num_workers: int
    ) -> None:
        batches = list(EvalReader(records, PREPROCESSING, batch_size, num_workers).batches())
        sizes = [len(batch.data) for batch in batches]
        assert sum(sizes) == NUM_RECORDS
        assert set(sizes[:-1]) <= {batch_size}
        assert 0 < sizes[-1] <= batch_size
        positions = np.concatenate([batch.positions for batch in batches])
        labels = np.concatenate([batch.labels for batch in batches])
        np.testing.assert_array_equal(positions, np.arange(NUM_RECORDS))
        np.testing.assert_array_equal(labels, np.arange(NUM_RECORDS) % 10)

    @pytest.mark.parametrize(("world", "batch_size"), [(2, 9), (3, 7), (4, 13), (4, 60)])
    def test_processes_share_every_batch(
        self, records: RecordFile, world: int, batch_size: int
    ) -> None:
        readers = [
            EvalReader(records, PREPROCESSING, batch_size, 1, r, world) for r in range(world)
        ]
        shares = [[batch.positions for batch in reader.batches()] for reader in readers]
        assert len({len(share) for share in shares}) == 1, "all have as many batches"
        seen = np.concatenate([positions for share in shares for positions in share])
        np.testing.assert_array_equal(np.sort(seen), np.arange(NUM_RECORDS))

    def test_images_are_those_of_the_transform(
        self, records: RecordFile, images: list[bytes]
    ) -> None:
        for batch in EvalReader(records, PREPROCESSING, 9).batches():
            assert batch.data.dtype == np.float32
            assert batch.labels.dtype == np.int32
            assert batch.positions.dtype == np.int64
            for image, position in zip(batch.data, batch.positions):
                np.testing.assert_array_equal(image, PREPROCESSING(images[position]))

    def test_second_pass_is_like_the_first(self, records: RecordFile) -> None:
        reader = EvalReader(records, PREPROCESSING, 9)
        first, second = ([content(batch) for batch in reader.batches()] for _ in range(2))
        assert first == second

    def test_bad_record_is_an_error(self, tmp_path: Path, images: list[bytes]) -> None:
        reader = EvalReader(damaged(tmp_path, images, [20]), PREPROCESSING, 8, 3)
        with pytest.raises(DataError, match=r"train\.rec: record 20: the image cannot be decoded"):
            list(reader.batches())


class TestTrain:
    @pytest.mark.parametrize("seed", [3, 2**40])
    def test_images_are_those_of_order_and_draws(
        self, records: RecordFile, images: list[bytes], seed: int
    ) -> None:
        order = epoch_order(NUM_RECORDS, seed, 7)
        draws = augmentation_draws(seed, 7, order, NUM_DRAWS)
        batches = list(TrainReader(records, AUGMENTATION, 8, seed).batches(7))
        assert len(batches) == 6
        for step, batch in enumerate(batches):
            rows = slice(8 * step, 8 * step + 8)
            np.testing.assert_array_equal(batch.positions, order[rows])
            np.testing.assert_array_equal(batch.labels, order[rows] % 10)
            for image, position, numbers in zip(batch.data, order[rows], draws[rows]):
                np.testing.assert_array_equal(image, augmented(images[position], numbers))

    def test_number_of_threads_changes_no_byte(self, records: RecordFile) -> None:
        one, two, eight = (
            [content(batch) for batch in train_reader(records, num_workers=n).batches(2)]
            for n in (1, 2, 8)
        )
        assert one == two == eight

    def test_resumed_epoch_goes_on_with_the_same_bytes(self, records: RecordFile) -> None:
        whole = [content(batch) for batch in train_reader(records).batches(4)]
        rest = [content(batch) for batch in train_reader(records, num_workers=3).batches(4, 4)]
        assert rest == whole[4:]
        assert list(train_reader(records).batches(4, 6)) == []

    @pytest.mark.parametrize("world", [2, 3])
    def test_processes_share_the_batches_of_one(self, records: RecordFile, world: int) -> None:
        alone = train_reader(records, batch_size=4 * world)
        parts = [train_reader(records, batch_size=4, rank=r, world=world) for r in range(world)]
        assert {part.steps_per_epoch for part in parts} == {alone.steps_per_epoch}
        for batch, *shares in zip(alone.batches(1), *(part.batches(1) for part in parts)):
            together = Batch(*(np.concatenate(arrays) for arrays in zip(*shares)))
            assert content(together) == content(batch)

    def test_epochs_are_distinct_and_left_over_records_change(self, records: RecordFile) -> None:
        seen = []
        for epoch in range(3):
            batches = train_reader(records).batches(epoch)
            positions = np.concatenate([batch.positions for batch in batches]).tolist()
            assert len(positions) == len(set(positions)) == 48
            seen.append(positions)
        assert len({frozenset(positions) for positions in seen}) == 3

    @pytest.mark.parametrize(("batch_size", "world", "steps"), [(53, 1, 1), (26, 2, 1), (5, 3, 3)])
    def test_steps_per_epoch(
        self, records: RecordFile, batch_size: int, world: int, steps: int
    ) -> None:
        reader = train_reader(records, batch_size, world=world)
        assert reader.steps_per_epoch == steps == len(list(reader.batches(0)))

    def test_refuses_fewer_records_than_a_batch(self, records: RecordFile) -> None:
        with pytest.raises(DataError, match="53 records do not fill one batch of 54"):
            train_reader(records, 27, world=2)


class TestBadRecords:
    def test_stop_training_by_default(self, tmp_path: Path, images: list[bytes]) -> None:
        reader = train_reader(damaged(tmp_path, images, [20]), num_workers=3)
        with pytest.raises(DataError, match=r"train\.rec: record 20: .*; 0 bad records may"):
            list(reader.batches(0))

    @pytest.mark.parametrize("num_workers", [1, 8])
    def test_are_replaced_by_the_next(
        self, tmp_path: Path, images: list[bytes], num_workers: int
    ) -> None:
        order = epoch_order(NUM_RECORDS, 3, 0)
        # Two in a row, one at a batch's end, and the very last, after which comes the first.
        rows = [2, 3, 15, 47, 52]
        bad = order[rows].tolist()
        settings = {"max_bad_records": 5, "num_workers": num_workers}
        reader = train_reader(damaged(tmp_path, images, bad), **settings)
        batches = list(reader.batches(0))
        read = np.concatenate([batch.positions for batch in batches])
        expected = order[:48].copy()
        expected[[2, 3, 15, 47]] = order[[4, 4, 16, 48]]
        np.testing.assert_array_equal(read, expected)
        assert list(reader.bad_records) == bad[:4]
        assert all(f"record {position}:" in str(e) for position, e in reader.bad_records.items())
        draws = augmentation_draws(3, 0, order[[47]], NUM_DRAWS)[0]
        np.testing.assert_array_equal(batches[5].data[7], augmented(images[order[48]], draws))
        assert batches[5].labels[7] == order[48] % 10

    def test_last_is_replaced_by_the_first(self, tmp_path: Path, images: list[bytes]) -> None:
        order = epoch_order(NUM_RECORDS, 3, 0)
        bad = [int(order[-1]), int(order[0])]
        reader = train_reader(damaged(tmp_path, images, bad), NUM_RECORDS, max_bad_records=2)
        (batch,) = reader.batches(0)
        assert batch.positions[[0, -1]].tolist() == order[[1, 1]].tolist()

    @pytest.mark.parametrize("num_workers", [1, 2, 8])
    def test_one_too_many_is_always_the_same(
        self, tmp_path: Path, images: list[bytes], num_workers: int
    ) -> None:
        order = epoch_order(NUM_RECORDS, 3, 0)
        bad = order[[5, 6, 17, 18, 20, 22]].tolist()
        settings = {"max_bad_records": 3, "num_workers": num_workers}
        reader = train_reader(damaged(tmp_path, images, bad), **settings)
        batches = reader.batches(0)
        assert [len(next(batches).labels) for _ in range(2)] == [8, 8]
        with pytest.raises(DataError, match=f"record {order[18]}: .*; 3 bad records may"):
            next(batches)

    def test_are_counted_in_each_epoch_anew(self, tmp_path: Path, images: list[bytes]) -> None:
        reader = train_reader(damaged(tmp_path, images, [20, 30]), max_bad_records=2)
        for epoch in range(4):
            assert len(list(reader.batches(epoch))) == 6
        assert set(reader.bad_records) == {20, 30}

    def test_without_a_good_one(self, tmp_path: Path) -> None:
        reader = train_reader(record_file(tmp_path / "x.rec", [b"x"] * 20), max_bad_records=99)
        with pytest.raises(DataError, match="19 bad records may be replaced"):
            list(reader.batches(0))

    def test_corrupt_head_is_bad_too(self, tmp_path: Path, images: list[bytes]) -> None:
        records = record_file(tmp_path / "train.rec", images)
        with records.path.open("r+b") as file:
            file.seek(records.offsets[20])
            file.write(b"gone")
        with pytest.raises(DataError, match=r"train\.rec: record 20 at byte"):
            list(train_reader(records).batches(0))
        reader = train_reader(records, max_bad_records=1)
        assert len(list(reader.batches(0))) == 6


@pytest.mark.shared_data
def test_photographs(shared: Path, tmp_path: Path) -> None:
    paths = sorted((shared / "data/imagenet-sample/images").glob("*/*.JPEG"))[:40]
    images = [path.read_bytes() for path in paths]
    records = record_file(tmp_path / "val.rec", images)
    (batch,) = EvalReader(records, EvalTransform(), 64).batches()
    for data, image in zip(batch.data, images):
        np.testing.assert_array_equal(data, EvalTransform()(image))
    assert abs(batch.data.mean()) < 0.3
    assert 0.8 < batch.data.std() < 1.4
