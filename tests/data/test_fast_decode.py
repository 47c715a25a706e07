"""``fast_decode``, and the colours that are turned after the crop: what stays equal, and how far the rest goes."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from ppcls.config import Component
from ppcls.config.schema import DatasetConfig, LoaderConfig, SamplerConfig
from ppcls.data import build_loader
from ppcls.data.preprocess import Pipeline
from ppcls.data.preprocess.ops.crop import RandCropImage
from ppcls.data.preprocess.ops.decode import DecodeImage
from ppcls.data.preprocess.ops.opening import Open, Opened, reduction
from ppcls.data.preprocess.ops.resize import ResizeImage
from ppcls.data.preprocess.ops.size import Box, Need, Size
from ppcls.data.preprocess.picture import jpeg_orientation
from ppcls.registry import OPS
from ppcls.utils.errors import ConfigError, DataError

CAT = (Path(__file__).parents[2] / "demo" / "cat.jpg").read_bytes()
TRAIN = [{"DecodeImage": {}}, {"RandCropImage": {"size": 48}}, {"RandFlipImage": {}}]
EVAL = [{"DecodeImage": {}}, {"ResizeImage": {"resize_short": 58}}, {"CropImage": {"size": 48}}]


def _components(ops: list[dict[str, Any]]) -> list[Component]:
    return [Component(name, arguments, name) for op in ops for name, arguments in op.items()]


def _host(ops: list[dict[str, Any]], data: bytes, seed: int, *, fast: bool = False) -> np.ndarray:
    return Pipeline.from_components(_components(ops), fast_decode=fast).host(data, np.random.default_rng(seed))


def _one_by_one(ops: list[dict[str, Any]], data: bytes, seed: int) -> np.ndarray:
    image, rng = data, np.random.default_rng(seed)
    for component in _components(ops):
        image = OPS.build(component)(image, rng)
    return image


def _file(height: int, width: int, kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    """A smooth picture with a gradient each way and a dark corner, so that no turn goes unseen."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], axis=2).astype(np.uint8)
    pixels[: height // 4, : width // 3] = (10, 40, 90)
    buffer = io.BytesIO()
    Image.fromarray(cv2.GaussianBlur(pixels, (31, 31), 0)).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _difference(ops: list[dict[str, Any]], data: bytes, seed: int) -> float:
    """Mean absolute difference of fast and plain, of 255."""
    fast, plain = _host(ops, data, seed, fast=True), _host(ops, data, seed)
    assert (fast.shape, fast.dtype) == (plain.shape, plain.dtype)
    return float(np.abs(fast.astype(int) - plain).mean())


@pytest.mark.parametrize("ops", [TRAIN, EVAL], ids=["train", "eval"])
@pytest.mark.parametrize("to_rgb", [True, False])
@pytest.mark.parametrize("interpolation", ["bilinear", "random", "bicubic", "area"])
def test_colours_turned_after_the_crop_are_those_turned_before(ops: list, to_rgb: bool, interpolation: str) -> None:
    (cutter,) = ops[1]
    arguments = ops[1][cutter] | {"interpolation": interpolation}
    ops = [{"DecodeImage": {"to_rgb": to_rgb}}, {cutter: arguments}, ops[2]]
    for data in (CAT, _file(300, 200), _file(90, 120, "PNG"), _file(30, 40)):
        for seed in range(3):
            np.testing.assert_array_equal(_host(ops, data, seed), _one_by_one(ops, data, seed))


def test_pillow_resizes_channels_alike() -> None:
    ops = [{"DecodeImage": {}}, {"RandCropImage": {"size": 48, "backend": "pil", "interpolation": "random"}}]
    np.testing.assert_array_equal(_host(ops, CAT, 1), _one_by_one(ops, CAT, 1))


@pytest.mark.parametrize("ops", [TRAIN, EVAL], ids=["train", "eval"])
@pytest.mark.parametrize("seed", range(5))
def test_fast_pixels_are_near_the_plain_ones(ops: list, seed: int) -> None:
    smooth = _file(600, 803, quality=95)
    assert 0 < _difference(ops, smooth, seed) < 3
    assert 0 < _difference(ops, CAT, seed) < 12


def test_another_crop_would_be_told_from_the_fast_one() -> None:
    plain, other = (_host(TRAIN, CAT, seed).astype(int) for seed in (0, 1))
    assert np.abs(plain - other).mean() > 24


@pytest.mark.parametrize("cutter", [RandCropImage(32), ResizeImage(resize_short=32)])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_fast_draws_what_plain_draws(cutter: Any, orientation: int) -> None:
    data = _file(301, 403, exif=_exif(orientation))
    for seed in range(20):
        fast_rng, plain_rng = np.random.default_rng(seed), np.random.default_rng(seed)
        fast: Opened = Open(DecodeImage(), cutter, fast=True)(data, fast_rng)
        plain: Opened = Open(DecodeImage(), cutter, fast=False)(data, plain_rng)
        factor = reduction(plain.need)
        assert fast.need == Need(plain.need.box.reduced(factor), plain.need.size)
        assert fast.image.shape[:2] == tuple(-(-side // factor) for side in plain.image.shape[:2])
        assert fast_rng.random() == plain_rng.random()
        assert fast.need.box.of(fast.image).shape[:2] == (fast.need.box.height, fast.need.box.width)
        assert min(fast.need.box[2:]) >= min(32, *plain.need.box[2:])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_hold(orientation: int) -> None:
    data = _file(400, 640, exif=_exif(orientation), quality=95)
    assert jpeg_orientation(data) == orientation
    for seed in range(4):
        assert 0 < _difference(TRAIN, data, seed) < 3
    assert 0 < _difference(EVAL, data, 0) < 2


def test_an_exif_part_that_only_one_of_the_parsers_believes_falls_back_to_the_full_picture() -> None:
    data = _file(400, 640)
    comment = b"Exif\0\0" + _exif(6).removeprefix(b"Exif\0\0")  # inside a comment, where no decoder looks
    data = data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]
    assert jpeg_orientation(data) == 6
    for ops in (TRAIN, EVAL):
        np.testing.assert_array_equal(_host(ops, data, 3, fast=True), _host(ops, data, 3))


def test_orientation_of_a_damaged_part_is_none() -> None:
    good = _file(40, 40, exif=_exif(6))
    at = good.index(b"Exif\0\0")
    assert jpeg_orientation(good[: at + 12]) == 1
    assert jpeg_orientation(good[: at + 20]) == 1
    assert jpeg_orientation(good[: at + 6] + b"XX" + good[at + 8 :]) == 1
    assert jpeg_orientation(_file(40, 40)) == 1
    assert jpeg_orientation(_file(40, 40, exif=_exif(9))) == 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_other_files_are_decoded_as_without(kind: str) -> None:
    data = _file(400, 500, kind)
    for ops in (TRAIN, EVAL):
        np.testing.assert_array_equal(_host(ops, data, 2, fast=True), _host(ops, data, 2))


def test_a_jpeg_that_is_too_small_to_reduce_is_decoded_as_without() -> None:
    data = _file(94, 95)
    for ops in (TRAIN, EVAL):
        np.testing.assert_array_equal(_host(ops, data, 2, fast=True), _host(ops, data, 2))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_every_kind_of_jpeg_is_reduced(mode: str, progressive: bool) -> None:
    assert 0 < _difference(EVAL, _file(400, 500, mode=mode, progressive=progressive), 0) < 2


def test_damaged_and_oversized_pictures_are_refused_all_the_same() -> None:
    data = _file(400, 500)
    small = [{"DecodeImage": {"max_pixels": 400 * 500 - 1}}, *EVAL[1:]]
    for ops, bad, reason in (
        (small, data, "max_pixels is 199999"),
        (EVAL, data[: len(data) // 2], "no end marker, it is cut off"),
        (EVAL, data[:100], "the JPEG"),
        (EVAL, b"\xff\xd8\xff\xd9", "the JPEG"),
        (EVAL, b"text", "expected a JPEG, PNG"),
    ):
        for fast in (False, True):
            with pytest.raises(DataError, match=reason) as caught:
                _host(ops, bad, 0, fast=fast)
            assert caught.value.slug == "bad-image"


def test_flipped_bytes_are_refused_or_read_by_both() -> None:
    data, rng = bytearray(_file(256, 320)), np.random.default_rng(5)
    for _ in range(150):
        bad = bytearray(data)
        bad[int(rng.integers(2, len(bad)))] = int(rng.integers(256))
        assert _outcome(bytes(bad), fast=True) == _outcome(bytes(bad), fast=False)


def _outcome(data: bytes, *, fast: bool) -> str:
    try:
        return str(_host(EVAL, data, 0, fast=fast).shape)
    except DataError as error:
        return str(error)


def test_a_reduced_box_is_never_smaller_than_division_and_stays_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        width, factor = int(rng.integers(1, 700)), int(rng.choice([1, 2, 4, 8]))
        side = int(rng.integers(1, width + 1))
        left = int(rng.integers(0, width - side + 1))
        box = Box(left, left, side, side).reduced(factor)
        assert box.width == box.height >= side // factor
        assert 0 <= box.left <= box.left + box.width <= -(-width // factor)
        assert abs(box.left - left / factor) <= 0.5


@pytest.mark.parametrize(
    ("width", "height", "factor"), [(383, 999, 1), (384, 384, 2), (767, 768, 2), (768, 768, 4), (5000, 1536, 8)]
)
def test_the_scale_is_the_smallest_that_enlarges_nothing(width: int, height: int, factor: int) -> None:
    assert reduction(Need(Box(0, 0, width, height), Size(192, 192))) == factor


@pytest.mark.parametrize(
    "ops",
    [
        [{"DecodeImage": {}}, {"CropImage": {"size": 8}}],
        [{"DecodeImage": {"backend": "pil"}}, {"RandCropImage": {"size": 8}}],
        [{"DecodeImage": {}}],
    ],
)
def test_fast_decode_without_effect_is_refused(ops: list) -> None:
    with pytest.raises(ConfigError, match=r"^DecodeImage: fast_decode needs DecodeImage with backend cv2, then Rand"):
        _host(ops, CAT, 0, fast=True)


def test_the_key_reaches_the_loader(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(_file(400, 500))
    (tmp_path / "list.txt").write_text("a.jpg 0\n")
    lists = {"image_root": str(tmp_path), "cls_label_path": str(tmp_path / "list.txt")}
    means = []
    for fast in (False, True):
        dataset = DatasetConfig(
            component=Component("ImageNetDataset", lists), transform_ops=tuple(_components(EVAL)), fast_decode=fast
        )
        config = LoaderConfig(dataset=dataset, sampler=SamplerConfig(batch_size=1))
        (batch,) = build_loader(config, split="Eval", class_num=1, seed=0).batches(0)
        means.append(batch.images.numpy())
    assert 0 < np.abs(means[0] - means[1]).mean() < 2
