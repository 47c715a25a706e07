"""The whole loader: from a YAML's values to batches on the device."""

import functools
import os
import threading

import cv2
import numpy as np
import pytest

from ppcls.config.schema import Component, DatasetConfig, LoaderConfig, SamplerConfig, WorkerConfig
from ppcls.data import build_loader
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.utils.errors import ConfigError, DataError

DECODE = Component("DecodeImage", {}, "ops.0.DecodeImage")
RANDOM_OPS = (
    DECODE,
    Component("RandCropImage", {"size": 24}, "ops.1.RandCropImage"),
    Component("RandFlipImage", {"flip_code": 1}, "ops.2.RandFlipImage"),
    Component("NormalizeImage", {"scale": 1 / 255, "order": ""}, "ops.3.NormalizeImage"),
)
OPS = (DECODE, Component("CropImage", {"size": 24}, "ops.1.CropImage"))
SYNTHETIC = Component("SyntheticDataset", {"samples": 22, "side": 32}, "DataLoader.Train.dataset")


def _config(dataset=SYNTHETIC, ops=RANDOM_OPS, workers=(0, "thread"), **sampler):
    sampler = {"name": "DistributedBatchSampler", "batch_size": 4, "shuffle": True} | sampler
    return LoaderConfig(
        dataset=DatasetConfig(component=dataset, transform_ops=ops),
        sampler=SamplerConfig(**sampler),
        loader=WorkerConfig(num_workers=workers[0], backend=workers[1]),
    )


def _load(config, epoch=0, start=0, split="Train", **options):
    loader = build_loader(config, **({"split": split, "class_num": 5, "seed": 11} | options))
    return [(b.id, b.images.numpy(), b.labels.numpy()) for b in loader.batches(epoch, start)]


def _equal(ours, theirs):
    pairs = list(zip(ours, theirs, strict=True))
    return all((a[1] == b[1]).all() and (a[2] == b[2]).all() and a[0].number == b[0].number for a, b in pairs)


@pytest.mark.parametrize("workers", [(1, "thread"), (2, "thread"), (4, "thread"), (2, "process"), (0, "process")])
def test_one_seed_gives_the_same_batches_whoever_reads(workers):
    plain = _load(_config(), epoch=1)
    assert len(plain) == 6
    assert _equal(_load(_config(workers=workers), epoch=1), plain)


def test_other_seeds_and_epochs_give_other_crops_of_the_same_pictures():
    config = _config(shuffle=False)
    first, epoch, seed = _load(config), _load(config, epoch=1), _load(config, seed=12)
    assert (first[0][2] == epoch[0][2]).all()
    assert not (first[0][1] == epoch[0][1]).all()
    assert not (first[0][1] == seed[0][1]).all()


def test_a_resume_in_the_middle_is_the_tail_of_the_epoch():
    assert _equal(_load(_config(workers=(2, "thread")), epoch=2, start=4), _load(_config(), epoch=2)[4:])


def test_a_resume_in_the_middle_reads_nothing_that_came_before(monkeypatch):
    read, get = [], SyntheticDataset.__getitem__
    monkeypatch.setattr(SyntheticDataset, "__getitem__", lambda self, index: read.append(index) or get(self, index))
    tail = _load(_config(), epoch=2, start=4)
    wanted = [int(index) for batch, _, _ in tail for index in batch.indices]
    frame = wanted[:1]  # looked at once more for its size
    assert read == frame + wanted


def test_a_sample_has_the_same_pixels_on_one_rank_and_on_two():
    def by_index(**options):
        return {
            int(index): images[row]
            for batch, images, _ in _load(_config(), **options)
            for row, index in enumerate(batch.indices)
        }

    alone, ranks = by_index(), by_index(rank=0, world=2) | by_index(rank=1, world=2)
    assert sorted(ranks) == list(range(22))
    assert all((alone[index] == ranks[index]).all() for index in ranks)


def test_training_pads_and_evaluation_does_not():
    counts = {
        split: [sum(len(labels) for *_, labels in _load(_config(), split=split, rank=r, world=4)) for r in range(4)]
        for split in ("Train", "Eval")
    }
    assert (counts["Train"], sorted(counts["Eval"])) == ([6] * 4, [5, 5, 6, 6])


def test_images_are_normalised_floats_with_the_channel_first():
    (_, images, labels), *_ = _load(_config())
    assert (images.shape, images.dtype, labels.dtype) == ((4, 3, 24, 24), np.float32, np.int64)
    assert -2.2 < images.min() < 0 < images.max() < 2.7


def test_the_engine_learns_length_place_and_names():
    loader = build_loader(_config(workers=(2, "thread")), split="Train", class_num=5, seed=11)
    assert (len(loader), loader.where(3), loader.reading()) == (6, "synthetic:3", [])
    batches = loader.batches(0)
    assert next(batches).id.number == 0
    threads = threading.active_count()
    batches.close()
    assert threading.active_count() == threads - 2


def test_mixing_happens_on_the_device_and_depends_on_the_rank():
    mixing = (Component("MixupOperator", {"alpha": 0.4}, "batch_transform_ops.0.MixupOperator"),)
    dataset = DatasetConfig(component=SYNTHETIC, transform_ops=OPS, batch_transform_ops=mixing)
    config = LoaderConfig(dataset=dataset, sampler=SamplerConfig(name="BatchSampler", batch_size=4))
    first, again, other = (_load(config, rank=rank, world=2) for rank in (0, 0, 1))
    assert (first[0][2].shape, first[0][2].dtype) == ((4, 5), np.float32)
    assert np.allclose(first[0][2].sum(axis=1), 1)
    assert _equal(first, again)
    assert not (first[0][2] == other[0][2]).all()


@pytest.fixture
def folder(tmp_path):
    """Nine pictures, listed; index 2 is replaced by the tests."""
    for index in range(9):
        picture = np.full([30, 40, 3], index * 20, np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.jpg"), picture)
    (tmp_path / "list.txt").write_text("".join(f"{index}.jpg {index % 5}\n" for index in range(9)))
    return tmp_path


def _listed(folder, **more):
    files = {"image_root": str(folder), "cls_label_path": str(folder / "list.txt")}
    return Component("ImageNetDataset", files | more, "DataLoader.Train.dataset")


@functools.cache
def _large_png():
    """14000 x 14000 black pixels in a file of some 190 kB."""
    return cv2.imencode(".png", np.zeros([14000, 14000], np.uint8))[1].tobytes()


JPEG = cv2.imencode(".jpg", np.zeros([30, 40, 3], np.uint8))[1].tobytes()
BAD = {
    "cut short": lambda file: file.write_bytes(JPEG[: len(JPEG) // 2]),
    "last bytes missing": lambda file: file.write_bytes(JPEG[:-2]),
    "empty": lambda file: file.write_bytes(b""),
    "HTML": lambda file: file.write_bytes(b"<html><body>404</body></html>"),
    "missing": lambda file: None,
    "a pipe": os.mkfifo,
    "a folder": lambda file: file.mkdir(),
    "a dangling link": lambda file: file.symlink_to("nowhere"),
    "a link to itself": lambda file: file.symlink_to(file.name),
    "a device": lambda file: file.symlink_to("/dev/zero"),
    "a GIF": lambda file: file.write_bytes(b"GIF89a\x01\x00\x01\x00"),
    "giant": lambda file: file.write_bytes(_large_png()),
}
every_bad_file = pytest.mark.parametrize("spoil", BAD.values(), ids=BAD.keys())


def _spoil(folder, spoil):
    file = folder / "2.jpg"
    file.unlink()
    spoil(file)


@every_bad_file
@pytest.mark.parametrize("workers", [(0, "thread"), (2, "thread"), (2, "process")], ids=["0", "2", "2 processes"])
def test_training_goes_on_past_a_bad_file_and_names_it_once(folder, caplog, spoil, workers):
    _spoil(folder, spoil)
    config = _config(_listed(folder, max_bad_ratio=0.2), OPS, workers, shuffle=False)
    loader = build_loader(config, split="Train", class_num=5, seed=1)
    for epoch in range(2):
        labels = [batch.labels.tolist() for batch in loader.batches(epoch)]
        assert labels == [[0, 1, 3, 3], [4, 0, 1, 2], [3]]  # the third slot holds the fourth picture
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert (len(told), len(loader.bad), loader.bad.times) == (1, 1, 2)
    assert told[0].startswith("cannot read list.txt:3 2.jpg: ")
    assert loader.bad.records[0].where == "list.txt:3 2.jpg"
    assert loader.bad.records[0].reason in told[0]


@every_bad_file
def test_evaluation_ends_at_a_bad_file_and_says_where(folder, spoil):
    _spoil(folder, spoil)
    with pytest.raises(DataError, match=r"^list.txt:3 2.jpg: ") as caught:
        _load(_config(_listed(folder), OPS, shuffle=False), split="Eval")
    assert (caught.value.slug, caught.value.code, "\n" in str(caught.value)) == ("bad-image", 3, False)


def test_training_that_must_stop_stops(folder):
    _spoil(folder, BAD["cut short"])
    with pytest.raises(DataError, match=r"^list.txt:3 2.jpg: "):
        _load(_config(_listed(folder, on_error="stop"), OPS))


def test_evaluation_counts_wrong_by_request(folder):
    _spoil(folder, BAD["missing"])
    config = _config(_listed(folder, on_error="count_wrong"), OPS, shuffle=False)
    loader = build_loader(config, split="Eval", class_num=5, seed=1)
    batches = [(batch.labels.tolist(), batch.unreadable) for batch in loader.batches(0)]
    assert batches == [([0, 1, -1, 3], 1), ([4, 0, 1, 2], 0), ([3], 0)]
    assert len(loader.bad) == 1


def test_too_many_bad_files_end_training(folder):
    _spoil(folder, BAD["empty"])
    with pytest.raises(
        DataError, match=r"1 of 9 listed pictures .* more than the 0 that max_bad_ratio allows; first list"
    ):
        _load(_config(_listed(folder), OPS))


def test_a_folder_of_bad_files_ends_at_once_with_the_first_reason(folder):
    for file in folder.glob("*.jpg"):
        file.write_bytes(b"")
    with pytest.raises(
        DataError, match=r"list.txt:1 0.jpg: the file is empty; nor can the 8 pictures after it be read"
    ):
        _load(_config(_listed(folder), OPS, shuffle=False))


def test_max_pixels_of_the_data_set_reaches_the_decoder(folder):
    with pytest.raises(DataError, match="max_pixels is 1000"):
        _load(_config(_listed(folder, max_pixels=1000), OPS), split="Eval")


def test_a_label_the_model_has_no_output_for_is_found_when_the_loader_is_built(folder):
    with pytest.raises(DataError, match=r"2 bad lines, .* list.txt:4 label 3 is not in \[0, 3\)|bad lines"):
        build_loader(_config(_listed(folder), OPS), split="Train", class_num=3, seed=1)


def test_a_batch_larger_than_the_data_set_is_found_when_the_loader_is_built():
    with pytest.raises(DataError, match="22 samples on 1 ranks make no batch of 64 with drop_last"):
        build_loader(_config(batch_size=64, drop_last=True), split="Train", class_num=5, seed=1)


def test_what_does_not_fit_the_split_is_a_config_error(folder):
    with pytest.raises(ConfigError, match=r"DataLoader.Eval.dataset.on_error: .* got 'skip'"):
        build_loader(_config(_listed(folder, on_error="skip"), OPS), split="Eval", class_num=5, seed=1)
    mixing = (Component("MixupOperator", {"alpha": 0.2}, "batch_transform_ops.0.MixupOperator"),)
    dataset = DatasetConfig(component=SYNTHETIC, transform_ops=OPS, batch_transform_ops=mixing)
    config = LoaderConfig(dataset=dataset, sampler=SamplerConfig(batch_size=4))
    with pytest.raises(ConfigError, match="batch_transform_ops are for training only"):
        build_loader(config, split="Eval", class_num=5, seed=1)


def test_batches_are_float16_only_where_they_are_taken():
    half = Component("NormalizeImage", {"order": "", "output_fp16": True, "channel_num": 4}, "ops.2.NormalizeImage")
    config = _config(ops=(*OPS, half))
    taken, kept = (_load(config, takes_float16=takes)[0][1] for takes in (True, False))
    assert (taken.dtype, kept.dtype) == (np.float16, np.float32)
    assert taken.shape == kept.shape == (4, 4, 24, 24)
    assert not kept[:, 3].any()
    np.testing.assert_allclose(taken, kept, atol=2e-3)
    assert (kept != kept.astype(np.float16)).any()
