"""Class folders of one's own."""

import pytest

from ppcls.data.prepare.folder import split_folder, training_keys, write_lists
from ppcls.utils.errors import ConfigError, DataError

HELD_OUT = ("cat/1.jpg", "cat/5.jpg")  # of cat/0.jpg to cat/9.jpg, worked out with the program sha256sum


def _fill(root, **counts):
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.jpg").write_bytes(b"")
    return root


def _split(root, val_ratio=0.2, seed=0):
    return {one.name: (one.train, one.val) for one in split_folder(root, val_ratio, seed)}


def test_every_picture_is_on_one_side_and_every_class_gives_its_share(tmp_path):
    classes = split_folder(_fill(tmp_path, cat=10, dog=25, owl=4), 0.2, 0)
    assert [(one.name, len(one.train), len(one.val)) for one in classes] == [
        ("cat", 8, 2),
        ("dog", 20, 5),
        ("owl", 3, 1),
    ]
    for one, count in zip(classes, (10, 25, 4), strict=True):
        assert sorted(one.train + one.val) == sorted(f"{one.name}/{k}.jpg" for k in range(count))


def test_split_is_the_one_it_was_when_the_project_began(tmp_path):
    assert _split(_fill(tmp_path, cat=10))["cat"][1] == HELD_OUT
    assert _split(tmp_path, seed=1)["cat"][1] != HELD_OUT


def test_added_picture_moves_at_most_one_other(tmp_path):
    before = set(_split(_fill(tmp_path, cat=50))["cat"][1])
    (tmp_path / "cat/new.jpg").write_bytes(b"")
    after = set(_split(tmp_path)["cat"][1])
    assert len((before ^ after) - {"cat/new.jpg"}) <= 1


@pytest.mark.parametrize(
    ("count", "ratio", "held_out"), [(2, 0.01, 1), (2, 0.99, 1), (1, 0.5, 0), (9, 0.0, 0), (7, 0.5, 4)]
)
def test_small_classes_keep_a_picture_on_either_side_where_they_can(tmp_path, count, ratio, held_out):
    (_, val) = _split(_fill(tmp_path, cat=count), ratio)["cat"]
    assert len(val) == held_out


def test_class_names_sort_as_people_count(tmp_path):
    names = ["class10", "class2", "Class1", "b", "A", "ähre", "10", "9", "a²"]
    for name in names:
        _fill(tmp_path, **{name: 1})
    assert list(_split(tmp_path)) == ["9", "10", "A", "a²", "b", "Class1", "class2", "class10", "ähre"]


def test_pictures_are_found_below_and_other_or_hidden_files_left_out(tmp_path):
    _fill(tmp_path, cat=1)
    for name in ("cat/deep/er/x.PNG", "cat/note.txt", "cat/._y.jpg", "cat/.hidden/z.jpg", ".git/a.jpg", "loose.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert _split(tmp_path, 0.0) == {"cat": (("cat/0.jpg", "cat/deep/er/x.PNG"), ())}


def test_folders_train_and_val_keep_their_split(tmp_path):
    _fill(tmp_path / "train", cat=3, dog=2)
    _fill(tmp_path / "val", dog=1)
    classes = _split(tmp_path)
    assert classes["cat"] == (("train/cat/0.jpg", "train/cat/1.jpg", "train/cat/2.jpg"), ())
    assert classes["dog"] == (("train/dog/0.jpg", "train/dog/1.jpg"), ("val/dog/0.jpg",))


def test_lists_and_label_map_hold_blanks_and_other_scripts(tmp_path):
    root = _fill(tmp_path / "my pictures", **{"big cat": 2, "сова": 2})
    write_lists(split_folder(root, 0.5, 0), tmp_path / "lists")
    lines = [
        (tmp_path / "lists" / f"{name}_list.txt").read_text("utf-8").splitlines() for name in ("train", "val", "label")
    ]
    train, val, labels = lines
    assert labels == ["0 big cat", "1 сова"]
    assert sorted(train + val) == ["big cat/0.jpg 0", "big cat/1.jpg 0", "сова/0.jpg 1", "сова/1.jpg 1"]
    assert all((root / line.rsplit(maxsplit=1)[0]).is_file() for line in train + val)


@pytest.mark.parametrize("name", [" cat", "ca\nt"])
def test_names_that_no_list_can_hold_are_refused(tmp_path, name):
    with pytest.raises(
        DataError, match=r"neither begins nor ends with a blank nor holds a line break; rename"
    ) as caught:
        write_lists(split_folder(_fill(tmp_path, **{name: 1}), 0.2, 0), tmp_path)
    assert (caught.value.code, caught.value.slug) == (3, "data-list")


def test_all_classes_without_pictures_are_named_at_once(tmp_path):
    with pytest.raises(DataError, match=r"no picture to train on \(.*\.jpeg.*\) in 'dog', 'owl'; add some") as caught:
        split_folder(_fill(tmp_path, cat=3, dog=0, owl=0), 0.2, 0)
    assert caught.value.code == 3


def test_folder_without_class_folders_is_refused(tmp_path):
    with pytest.raises(DataError, match="no class folders in it; expected one folder for each class"):
        split_folder(tmp_path, 0.2, 0)


def test_missing_folder_and_bad_share_are_usage_errors(tmp_path):
    with pytest.raises(ConfigError, match=r"no folder at .*none"):
        split_folder(tmp_path / "none", 0.2, 0)
    with pytest.raises(ConfigError, match=r"in \[0, 1\); got --val-ratio 1\.0"):
        split_folder(_fill(tmp_path, cat=3), 1.0, 0)


def test_training_keys_are_the_five_a_recipe_needs(tmp_path):
    assert training_keys(tmp_path / "a", tmp_path / "b", 3) == {
        "Arch.class_num": 3,
        "DataLoader.Train.dataset.image_root": str(tmp_path / "a"),
        "DataLoader.Train.dataset.cls_label_path": str(tmp_path / "b/train_list.txt"),
        "DataLoader.Eval.dataset.image_root": str(tmp_path / "a"),
        "DataLoader.Eval.dataset.cls_label_path": str(tmp_path / "b/val_list.txt"),
    }
