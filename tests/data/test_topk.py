"""Topk: order, rounding, names, and what is wrong with a map file."""

from pathlib import Path

import numpy as np
import pytest

from ppcls.data.postprocess.topk import Topk, read_names
from ppcls.utils.errors import NonFiniteError

SCORES = np.array([[0.1, 0.6, 0.25, 0.05], [0.123456789, 0.1, 0.7, 0.076543211]], np.float32)


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("0 tench, Tinca tinca\n\n1 Kätzchen\r\n   \n10 ten\n", encoding="utf-8")
    return path


def test_answers_are_sorted_rounded_and_in_the_published_order_of_keys() -> None:
    answers = Topk(topk=2)(SCORES, ["a.jpg", "dir/b.jpg"])
    assert [list(answer.items()) for answer in answers] == [
        [("class_ids", [1, 2]), ("scores", [0.6, 0.25]), ("file_name", "a.jpg"), ("label_names", [])],
        [("class_ids", [2, 0]), ("scores", [0.7, 0.12346]), ("file_name", "dir/b.jpg"), ("label_names", [])],
    ]
    assert str(answers[0]) == "{'class_ids': [1, 2], 'scores': [0.6, 0.25], 'file_name': 'a.jpg', 'label_names': []}"


def test_topk_above_the_number_of_classes_means_all() -> None:
    assert Topk(topk=5)(SCORES[:1], ["a"])[0]["class_ids"] == [1, 2, 0, 3]


def test_equal_scores_keep_the_order_of_classes() -> None:
    assert Topk(topk=3)(np.full([1, 1000], 0.001), ["a"])[0]["class_ids"] == [0, 1, 2]


def test_names_come_from_the_map_and_a_missing_class_is_its_number(names: Path) -> None:
    answer = Topk(topk=4, class_id_map_file=str(names))(SCORES[:1], ["a"])[0]
    assert answer["label_names"] == ["Kätzchen", "2", "tench, Tinca tinca", "3"]


def test_another_delimiter_may_stand_in_the_name(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("\ufeff7:a: b\n8\n", encoding="utf-8")
    assert read_names(str(path), ":") == {7: "a: b", 8: ""}


def test_the_list_that_ships_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = read_names("ppcls/utils/imagenet1k_label_list.txt")
    assert sorted(found) == list(range(1000))
    assert (found[0], found[285]) == ("tench, Tinca tinca", "Egyptian cat")


def test_the_working_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "ppcls" / "utils" / "imagenet1k_label_list.txt"
    own.parent.mkdir(parents=True)
    own.write_text("0 mine\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert read_names("ppcls/utils/imagenet1k_label_list.txt") == {0: "mine"}


def test_a_missing_map_names_both_places() -> None:
    with pytest.raises(ValueError, match=r"class_id_map_file is neither at /.*/no\.txt nor at /.*/no\.txt"):
        Topk(class_id_map_file="no.txt")


def test_a_bad_line_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("0 a\ncat 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"names\.txt:2: expected '<class number> <name>'; got 'cat 1'"):
        Topk(class_id_map_file=str(path))


def test_a_map_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("0 Käfer\n".encode("latin1"))
    with pytest.raises(ValueError, match=r"names\.txt is not UTF-8"):
        Topk(class_id_map_file=str(path))


def test_topk_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="topk is at least 1; got 0"):
        Topk(topk=0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_name_the_picture(value: float) -> None:
    with pytest.raises(NonFiniteError, match=r"scores for b\.jpg are not finite"):
        Topk()(np.array([[0.5, 0.5], [value, 0.5]]), ["a.jpg", "b.jpg"])
