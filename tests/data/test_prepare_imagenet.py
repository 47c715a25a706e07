"""ImageNet from its archives, with small archives of the same nested layout."""

import io
import tarfile

import pytest

from ppcls.data.prepare import archives
from ppcls.data.prepare.imagenet import LOCK, Progress, read_wnids, unpack_train, unpack_val
from ppcls.data.prepare.val_labels import labels_from_devkit, labels_from_list, picture_name
from ppcls.utils.errors import ConfigError, DataError, PpclsError
from ppcls.utils.files import Lock

WNIDS = ("n00000001", "n00000002", "n00000003")


def _file(name, data=b"picture"):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member, data


def _odd(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def _tar(members, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for member, data in members:
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _class(wnid, numbers):
    return _file(f"{wnid}.tar", _tar([_file(f"{wnid}_{number}.JPEG", b"%d" % number) for number in numbers]))


@pytest.fixture
def train_tar(tmp_path):
    path = tmp_path / "train.tar"
    path.write_bytes(_tar([_class(WNIDS[1], [7]), _class(WNIDS[0], [10026, 18]), _class(WNIDS[2], [3, 4, 5])]))
    return path


@pytest.fixture
def val_tar(tmp_path):
    path = tmp_path / "val.tar"
    path.write_bytes(_tar([_file(picture_name(number)) for number in (2, 1, 3)]))
    return path


def test_shipped_classes_are_the_thousand_in_label_order():
    wnids = read_wnids()
    assert len(set(wnids)) == 1000
    assert (wnids[0], wnids[65], wnids[999]) == ("n01440764", "n01751748", "n15075141")
    assert list(wnids) == sorted(wnids)


def test_training_archive_becomes_class_folders_and_a_list_in_the_recipes_form(tmp_path, train_tar):
    out, seen = tmp_path / "out", []
    assert unpack_train(train_tar, out, WNIDS, 6, seen.append) == 6
    assert (out / "train_list.txt").read_text().splitlines() == [
        "train/n00000001/n00000001_10026.JPEG 0",
        "train/n00000001/n00000001_18.JPEG 0",
        "train/n00000002/n00000002_7.JPEG 1",
        "train/n00000003/n00000003_3.JPEG 2",
        "train/n00000003/n00000003_4.JPEG 2",
        "train/n00000003/n00000003_5.JPEG 2",
    ]
    assert (out / "train/n00000001/n00000001_10026.JPEG").read_bytes() == b"10026"
    assert sorted(path.name for path in (out / "train").iterdir()) == list(WNIDS)
    assert seen == [Progress(3, 3, 6)]


def test_complete_classes_are_left_alone_and_a_half_done_one_is_completed(tmp_path, train_tar):
    train = tmp_path / "out/train"
    unpack_train(train_tar, tmp_path / "out", WNIDS, 6)
    kept = train / "n00000002/n00000002_7.JPEG"
    kept.write_bytes(b"7, and touched")
    partial = (train / "n00000003").rename(train / "n00000003.partial")
    (partial / "n00000003_4.JPEG").write_bytes(b"")
    (partial / "n00000003_5.JPEG").unlink()
    assert unpack_train(train_tar, tmp_path / "out", WNIDS, 6) == 6
    assert kept.read_bytes() == b"7, and touched"
    assert [(train / f"n00000003/n00000003_{n}.JPEG").read_bytes() for n in (3, 4, 5)] == [b"3", b"4", b"5"]
    assert not partial.exists()


def test_class_is_not_complete_before_its_last_picture(tmp_path, train_tar, monkeypatch):
    def break_off(source, sink):
        sink.write(source.read(1))
        raise KeyboardInterrupt

    monkeypatch.setattr(archives.shutil, "copyfileobj", break_off)
    with pytest.raises(KeyboardInterrupt):
        unpack_train(train_tar, tmp_path / "out", WNIDS, 6)
    assert [path.name for path in (tmp_path / "out/train").iterdir()] == ["n00000001.partial"]
    assert not (tmp_path / "out/train_list.txt").exists()


def test_wrong_total_names_the_folder_that_differs_from_the_archive(tmp_path, train_tar):
    unpack_train(train_tar, tmp_path / "out", WNIDS, 6)
    (tmp_path / "out/train/n00000003/n00000003_4.JPEG").unlink()
    with pytest.raises(DataError, match=r"5 pictures, expected 6; remove \S*n00000003 and run this again") as caught:
        unpack_train(train_tar, tmp_path / "out", WNIDS, 6)
    assert (caught.value.code, caught.value.slug) == (3, "archive")


def test_archive_with_too_few_pictures_is_not_the_official_one(tmp_path, train_tar):
    with pytest.raises(DataError, match=r"6 pictures, expected 1,281,167; fetch the official archive"):
        unpack_train(train_tar, tmp_path / "out", WNIDS)
    assert not (tmp_path / "out/train_list.txt").exists()


def test_missing_and_foreign_classes_are_named_before_anything_is_written(tmp_path):
    path = tmp_path / "train.tar"
    path.write_bytes(_tar([_class("n00000001", [1]), _class("n00000009", [1])]))
    with pytest.raises(DataError, match=r"2 classes, expected 3; missing: n00000002, n00000003; .*: n00000009;"):
        unpack_train(path, tmp_path / "out", WNIDS, 6)
    assert not list((tmp_path / "out/train").iterdir())


HOSTILE = [
    _file("../x.JPEG"),
    _file("../n00000001_1.JPEG"),
    _file("/tmp/n00000001_1.JPEG"),
    _file("n00000001_1.JPEG/../../n00000001_2.JPEG"),
    _file("n00000002_1.JPEG"),
    _file("n00000001_1.JPEG\n"),
    _odd("n00000001_1.JPEG", tarfile.SYMTYPE, "/etc/passwd"),
    _odd("n00000001_1.JPEG", tarfile.LNKTYPE, "../../../x"),
    _odd("n00000001_1.JPEG", tarfile.FIFOTYPE),
    _odd("n00000001_1.JPEG", tarfile.CHRTYPE),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda pair: repr(pair[0].name) + repr(pair[0].type))
def test_hostile_member_is_named_and_nothing_is_written(tmp_path, hostile):
    inner = _tar([_file("n00000001_5.JPEG"), hostile])
    path = tmp_path / "train.tar"
    path.write_bytes(_tar([_file("n00000001.tar", inner)]))
    with pytest.raises(DataError) as caught:
        unpack_train(path, tmp_path / "deep/out", WNIDS[:1], 2)
    assert (caught.value.code, caught.value.slug) == (3, "archive")
    assert f"n00000001.tar: member {hostile[0].name!r}" in str(caught.value)
    left = {found for found in tmp_path.rglob("*") if found.is_file() or found.is_symlink()}
    assert left - {tmp_path / "deep/out" / LOCK} == {path}


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    inner = _tar([_file("n00000001_5.JPEG"), _file("n00000001_6.JPEG"), _file("./n00000001_5.JPEG", b"other")])
    path = tmp_path / "train.tar"
    path.write_bytes(_tar([_file("n00000001.tar", inner)]))
    with pytest.raises(DataError, match=r"member '\./n00000001_5\.JPEG' is there twice") as caught:
        unpack_train(path, tmp_path / "out", WNIDS[:1], 2)
    assert caught.value.slug == "archive"
    assert not list((tmp_path / "out/train").iterdir())


def test_a_second_process_in_the_same_folder_is_refused(tmp_path, train_tar, val_tar):
    with Lock(tmp_path / "out" / LOCK):
        for unpack in (
            lambda: unpack_train(train_tar, tmp_path / "out", WNIDS, 6),
            lambda: unpack_val(val_tar, tmp_path / "out", {}, 3),
        ):
            with pytest.raises(ConfigError, match="is in use by pid") as caught:
                unpack()
            assert caught.value.slug == "locked"


def test_hostile_member_of_the_outer_archive_is_named(tmp_path):
    path = tmp_path / "train.tar"
    path.write_bytes(_tar([_class(WNIDS[0], [1]), _odd("n00000002.tar", tarfile.SYMTYPE, "/etc")]))
    with pytest.raises(DataError, match=r"member 'n00000002\.tar' is not a regular file"):
        unpack_train(path, tmp_path / "out", WNIDS, 6)


def test_folder_entries_and_dot_slash_names_are_harmless(tmp_path):
    inner = _tar([_odd("./", tarfile.DIRTYPE), _file("./n00000001_5.JPEG")])
    path = tmp_path / "train.tar"
    path.write_bytes(_tar([_odd("../elsewhere", tarfile.DIRTYPE), _file("./n00000001.tar", inner)]))
    assert unpack_train(path, tmp_path / "out", WNIDS[:1], 1) == 1
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("size", [0, 100, 1700, 2100])
def test_archive_cut_short_is_an_archive_error(tmp_path, train_tar, size):
    train_tar.write_bytes(train_tar.read_bytes()[:size])
    with pytest.raises(DataError) as caught:
        unpack_train(train_tar, tmp_path / "out", WNIDS, 6)
    assert str(train_tar) in str(caught.value)
    assert (caught.value.code, caught.value.slug) == (3, "archive")


def test_missing_archive_is_a_usage_error(tmp_path):
    with pytest.raises(ConfigError, match=r"no archive at .*none\.tar"):
        unpack_train(tmp_path / "none.tar", tmp_path / "out", WNIDS)


def test_full_disk_is_told_before_writing(tmp_path, train_tar, monkeypatch):
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 5}))
    with pytest.raises(PpclsError, match=r"GB needed, 0\.0 GB free") as caught:
        unpack_train(train_tar, tmp_path / "out", WNIDS, 6)
    assert (caught.value.code, caught.value.slug) == (1, "disk-full")
    assert not list((tmp_path / "out/train").iterdir())


def test_validation_archive_becomes_a_folder_and_a_list(tmp_path, val_tar):
    labels = {picture_name(1): 65, picture_name(2): 970, picture_name(3): 0}
    assert unpack_val(val_tar, tmp_path / "out", labels, 3) == 3
    assert (tmp_path / "out/val_list.txt").read_text().splitlines() == [
        "val/ILSVRC2012_val_00000001.JPEG 65",
        "val/ILSVRC2012_val_00000002.JPEG 970",
        "val/ILSVRC2012_val_00000003.JPEG 0",
    ]
    val_tar.unlink()
    assert unpack_val(val_tar, tmp_path / "out", labels, 3) == 3


def test_validation_picture_without_a_label_is_named(tmp_path, val_tar):
    with pytest.raises(DataError, match=r"1 validation pictures have no label, the first is ILSVRC2012_val_00000003"):
        unpack_val(val_tar, tmp_path / "out", {picture_name(1): 65, picture_name(2): 970}, 3)


def test_validation_count_is_verified(tmp_path, val_tar):
    with pytest.raises(DataError, match=r"3 pictures, expected 50,000"):
        unpack_val(val_tar, tmp_path / "out", {})


@pytest.mark.parametrize(
    "text",
    [
        "n00000002\nn00000001\n",
        "ILSVRC2012_val_00000002.JPEG n00000001\nILSVRC2012_val_00000001.JPEG n00000002\n",
        "val/ILSVRC2012_val_00000001.JPEG 1\nval/ILSVRC2012_val_00000002.JPEG 0",
    ],
)
def test_label_list_has_wnids_in_order_or_names_with_wnids_or_labels(tmp_path, text):
    path = tmp_path / "labels.txt"
    path.write_text(text)
    assert labels_from_list(path, WNIDS) == {picture_name(1): 1, picture_name(2): 0}


@pytest.mark.parametrize("line", ["1", "a.JPEG 3", "a.JPEG -1", "n00000009", "a b n00000001", "", "a.JPEG 1.0"])
def test_bad_line_of_a_label_list_is_named(tmp_path, line):
    path = tmp_path / "labels.txt"
    path.write_text(f"n00000001\n{line}\n")
    with pytest.raises(DataError, match=r"labels\.txt:2: expected a WordNet id, .* in 0\.\.2; got") as caught:
        labels_from_list(path, WNIDS)
    assert caught.value.slug == "data-list"


def _devkit(path, truth, ids=(3, 1, 2, 1001)):
    scipy_io = pytest.importorskip("scipy.io", reason="scipy is not installed")
    numpy = pytest.importorskip("numpy")
    wnids = [*WNIDS, "n09999999"]
    synsets = numpy.zeros((len(wnids), 1), dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")])
    for row, number, wnid in zip(synsets[:, 0], ids, wnids, strict=True):
        row["ILSVRC2012_ID"], row["WNID"] = numpy.array([[float(number)]]), wnid
    meta = io.BytesIO()
    scipy_io.savemat(meta, {"synsets": synsets})
    data = "ILSVRC2012_devkit_t12/data/"
    members = [_file(f"{data}ILSVRC2012_validation_ground_truth.txt", truth), _file(f"{data}meta.mat", meta.getvalue())]
    path.write_bytes(_tar(members, "w:gz"))
    return path


def test_development_kit_counts_classes_in_its_own_order(tmp_path):
    labels = labels_from_devkit(_devkit(tmp_path / "kit.tar.gz", b"3\n1\n2\n3\n"), WNIDS)
    assert labels == {picture_name(k): label for k, label in enumerate([0, 1, 2, 0], start=1)}


@pytest.mark.parametrize("word", ["0", "1001", "x"])
def test_development_kit_with_an_unknown_class_is_refused(tmp_path, word):
    kit = _devkit(tmp_path / "kit.tar.gz", f"3\n{word}\n".encode())
    with pytest.raises(DataError, match=rf"ground_truth\.txt:2: '{word}' is no class"):
        labels_from_devkit(kit, WNIDS)


def test_archive_without_the_kits_files_is_refused(tmp_path):
    path = tmp_path / "kit.tar.gz"
    path.write_bytes(_tar([_file("a/meta.mat")], "w:gz"))
    with pytest.raises(DataError, match=r"no ILSVRC2012_validation_ground_truth\.txt in it; expected .*devkit_t12"):
        labels_from_devkit(path, WNIDS)


def test_damaged_kit_is_an_archive_error(tmp_path):
    pytest.importorskip("scipy", reason="scipy is not installed")
    data, path = "ILSVRC2012_devkit_t12/data/", tmp_path / "kit.tar.gz"
    members = [_file(f"{data}ILSVRC2012_validation_ground_truth.txt", b"1"), _file(f"{data}meta.mat", b"x" * 200)]
    path.write_bytes(_tar(members, "w:gz"))
    with pytest.raises(DataError, match=r"meta\.mat cannot be read"):
        labels_from_devkit(path, WNIDS)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"kit\.tar\.gz: not a tar archive, damaged or cut short"):
        labels_from_devkit(path, WNIDS)
