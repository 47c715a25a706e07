"""The embedded digits."""

import cv2
import numpy as np
import pytest

from ppcls.data.prepare.digits import PACK, picture, read_pack, unpack_digits
from ppcls.utils.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    out = tmp_path_factory.mktemp("digits") / "a folder"
    return out, unpack_digits(out)


def _entries(path):
    return [line.rsplit(maxsplit=1) for line in path.read_text().splitlines()]


def test_pack_is_small_and_holds_out_36_of_each_digit():
    digits = read_pack()
    assert PACK.stat().st_size <= 200 * 1024
    assert digits.images.shape == (1797, 8, 8)
    assert int(digits.images.max()) == 16
    assert np.bincount(digits.labels[digits.held_out]).tolist() == [36] * 10


def test_pack_equals_what_scikit_learn_ships():
    source = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed").load_digits()
    digits = read_pack()
    np.testing.assert_array_equal(digits.images, source.images)
    np.testing.assert_array_equal(digits.labels, source.target)


def test_lists_name_every_picture_once_with_its_digit(unpacked):
    out, done = unpacked
    train, val = _entries(out / "train_list.txt"), _entries(out / "val_list.txt")
    assert (done.train, done.val, len(train), len(val)) == (1437, 360, 1437, 360)
    assert len({name[-8:] for name, _ in train + val}) == 1797
    assert all((out / name).is_file() for name, _ in train + val)
    assert all(name.split("/")[1] == label for name, label in train + val)


def test_label_map_names_ten_digits_in_order(unpacked):
    lines = (unpacked[0] / "digits_label_list.txt").read_text().splitlines()
    assert lines[0] == "0 zero"
    assert lines[7] == "7 seven"
    assert len(lines) == 10


def test_written_pictures_are_the_packed_digits_in_colour(unpacked):
    digits = read_pack()
    image = cv2.imread(str(unpacked[0] / "train/0/digit_0000.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(image, picture(digits.images[0]))


def test_picture_is_enlarged_by_linear_interpolation():
    digit = np.random.Generator(np.random.PCG64(5)).integers(0, 17, (8, 8))
    expected = cv2.resize(digit.astype(np.float64), (32, 32), interpolation=cv2.INTER_LINEAR) * 255 / 16
    image = picture(digit)
    assert (image.shape, image.dtype) == ((32, 32, 3), np.uint8)
    np.testing.assert_allclose(image[:, :, 1], expected, atol=0.5 + 1e-9)
    assert picture(np.full((8, 8), 16)).min() == 255


def test_second_call_repairs_what_is_missing_or_damaged_and_touches_nothing_else(tmp_path):
    assert unpack_digits(tmp_path).written == 1800
    damaged, missing, kept = (
        tmp_path / "train/0/digit_0000.png",
        tmp_path / "val_list.txt",
        tmp_path / "train_list.txt",
    )
    good, stamp = damaged.read_bytes(), kept.stat().st_mtime_ns
    damaged.write_bytes(good[:50])
    missing.unlink()
    assert unpack_digits(tmp_path).written == 2
    assert damaged.read_bytes() == good
    assert missing.is_file()
    assert kept.stat().st_mtime_ns == stamp
    assert unpack_digits(tmp_path).written == 0


def test_missing_pack_says_where_it_was_expected(tmp_path):
    with pytest.raises(ConfigError, match=r"packed digits are not at .*none\.npz; run from a clone"):
        unpack_digits(tmp_path / "out", tmp_path / "none.npz")


@pytest.mark.parametrize("spoil", [lambda data: data[:-300], lambda data: b"text", lambda data: b""])
def test_damaged_pack_is_an_archive_error(tmp_path, spoil):
    pack = tmp_path / "digits.npz"
    pack.write_bytes(spoil(PACK.read_bytes()))
    with pytest.raises(DataError, match=r"digits\.npz is damaged .*git checkout demo") as caught:
        unpack_digits(tmp_path / "out", pack)
    assert (caught.value.code, caught.value.slug) == (3, "archive")
    assert not (tmp_path / "out").exists()


def test_pack_never_unpickles(tmp_path):
    pack = tmp_path / "digits.npz"
    np.savez(pack, images=np.array([print], dtype=object), labels=np.zeros(1), val=np.zeros(1, int))
    with pytest.raises(DataError, match="damaged"):
        read_pack(pack)
