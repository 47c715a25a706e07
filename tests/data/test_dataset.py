"""List files and data sets: what is accepted, what is refused, and how it is told."""

import os
import time

import cv2
import numpy as np
import pytest

from ppcls.data.dataloader.bad_samples import BadSample, BadSamples, ReadRule
from ppcls.data.dataloader.imagenet_dataset import ImageNetDataset
from ppcls.data.dataloader.list_file import read_list
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.utils.errors import ConfigError, DataError


@pytest.fixture
def listed(tmp_path):
    """Write a list file of these bytes and read it."""

    def read(content, class_num=10, **options):
        file = tmp_path / "train.txt"
        file.write_bytes(content)
        return read_list(str(file), class_num, **options)

    return read


def _entries(found):
    return [(found.path(i).decode(), int(found.labels[i]), int(found.lines[i])) for i in range(len(found))]


def test_a_list_gives_paths_labels_and_line_numbers(listed):
    found = listed(b"a/b.JPEG 3\nc.png 0\n")
    assert _entries(found) == [("a/b.JPEG", 3, 1), ("c.png", 0, 2)]
    assert found.where(0) == "train.txt:1 a/b.JPEG"


def test_blanks_tabs_crlf_bom_and_a_missing_last_newline_do_no_harm(listed):
    found = listed(b"\xef\xbb\xbf a.jpg 1\r\n\r\n  \t\nmy cat.jpg\t 2  \nb  c.jpg   3\n\nd.jpg 4")
    assert _entries(found) == [("a.jpg", 1, 1), ("my cat.jpg", 2, 4), ("b  c.jpg", 3, 5), ("d.jpg", 4, 7)]


def test_usual_and_unusual_lines_count_alike_over_many_chunks(listed):
    lines = [f"{i:060d}.JPEG {i % 10}" for i in range(50_000)]  # 3.4 MB: the first chunk, of 1 MB, is all usual
    lines[20_000] = ""
    lines[30_000] = "a b\tc.JPEG \t 7"
    found = listed("\n".join(lines).encode())
    assert len(found) == 49_999
    assert found.where(29_999) == "train.txt:30001 a b\tc.JPEG"
    for line in (1, 17_000, 20_000, 20_002, 50_000):
        index = line - 1 - (line > 20_000)
        assert (found.where(index), found.labels[index]) == (f"train.txt:{line} {line - 1:060d}.JPEG", (line - 1) % 10)


def test_a_line_of_four_words_is_not_taken_for_two_samples(listed):
    assert _entries(listed(b"a 1 b 2\n\n")) == [("a 1 b", 2, 1)]


def test_a_delimiter_splits_at_its_last_place(listed):
    assert _entries(listed(b"a b,c.jpg, 3\n", delimiter=",")) == [("a b,c.jpg", 3, 1)]
    assert _entries(listed(b"a.jpg\t3\n", delimiter="\t")) == [("a.jpg", 3, 1)]
    assert _entries(listed(b"a.jpg 3\n", delimiter=" ")) == [("a.jpg", 3, 1)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"only.jpg", "train.txt:2 has one column: 'only.jpg'"),
        (b"a.jpg x", "train.txt:2 label 'x' is no integer"),
        (b"a.jpg 1.0", "train.txt:2 label '1.0' is no integer"),
        (b"a.jpg 1_0", "train.txt:2 label '1_0' is no integer"),
        (b"a.jpg -1", r"train.txt:2 label -1 is not in \[0, 10\)"),
        (b"a.jpg 10", r"train.txt:2 label 10 is not in \[0, 10\)"),
        (b"a.jpg 99999999999999999999", "is no integer"),
        (b"a.jpg 3 0.5", "label '0.5' is no integer"),
        (b"../a.jpg 3", r"path '\.\./a.jpg' climbs out of image_root; allow_outside_root: True permits it"),
        (b"a/../../b.jpg 3", "climbs out"),
        (b"a\0.jpg 3", "path holds a zero byte"),
        (b",3", "has one column"),
    ],
)
def test_a_bad_line_is_told_with_file_and_line(listed, line, reason):
    with pytest.raises(DataError, match=reason) as caught:
        listed(b"good.jpg 1\n" + line + b"\n")
    assert caught.value.slug == "data-list"
    assert "\n" not in str(caught.value)


def test_a_label_without_a_path_is_told(listed):
    with pytest.raises(DataError, match=r"train.txt:1 has no path before the label '3'"):
        listed(b",3\n", delimiter=",")


def test_many_bad_lines_come_as_five_and_a_count(listed):
    with pytest.raises(DataError, match="8 bad lines") as caught:
        listed(b"a.jpg 1\n" + b"b.jpg x\n" * 8)
    assert [f"train.txt:{n} " in str(caught.value) for n in range(2, 8)] == [True] * 5 + [False]
    assert "and 3 more" in str(caught.value)


def test_a_long_line_is_quoted_in_part_and_a_file_of_one_line_refused_unread(listed, tmp_path):
    with pytest.raises(DataError, match="has one column: 'xxx") as caught:
        listed(b"x" * 100_000)
    assert len(str(caught.value)) < 500
    with (tmp_path / "train.txt").open("wb") as file:
        file.write(b"a.jpg 1\n")
        file.truncate(1 << 40)  # a hole: takes no room
    with pytest.raises(
        DataError, match=r"train\.txt:2 is longer than a million bytes; is this a list file\?"
    ) as caught:
        read_list(str(tmp_path / "train.txt"), 10)
    assert caught.value.slug == "data-list"


def test_a_path_may_climb_out_when_allowed_and_stay_inside_by_dots_anyway(listed):
    assert len(listed(b"../a.jpg 3\n", allow_outside_root=True)) == 1
    assert len(listed(b"a/../b.jpg 3\nb..c.jpg 2\n/abs/../x.jpg 1\n")) == 3


def test_an_empty_list_is_too_little_data(listed):
    for content in (b"", b"\n \r\n", b"\xef\xbb\xbf"):
        with pytest.raises(DataError, match="lists no picture") as caught:
            listed(content)
        assert caught.value.slug == "too-little-data"


def test_a_missing_list_or_folder_is_told_by_its_key(tmp_path):
    with pytest.raises(ConfigError, match=r"list file .*none.txt is not there; give its path as cls_label_path"):
        ImageNetDataset(str(tmp_path), str(tmp_path / "none.txt"), 10)
    with pytest.raises(ConfigError, match=r"folder .*none is not there; give the pictures' folder as image_root"):
        ImageNetDataset(str(tmp_path / "none"), str(tmp_path / "none.txt"), 10)


def test_a_list_of_a_tenth_of_imagenet_loads_in_a_tenth_of_three_seconds(tmp_path):
    file = tmp_path / "train_list.txt"
    count = 128_117
    file.write_text("".join(f"train/n{i // 1300:08d}/n{i // 1300:08d}_{i}.JPEG {i // 1300}\n" for i in range(count)))
    started = time.process_time()
    found = read_list(str(file), 1000)
    assert time.process_time() - started < 0.3
    kept = len(found.blob) + found.ends.nbytes + found.labels.nbytes + found.lines.nbytes
    assert (len(found), kept / count < 60) == (count, True)  # bytes a sample, 35 of them its path


@pytest.fixture
def pictures(tmp_path):
    """A data set of one PNG, listed four times: good, missing, a pipe, empty."""
    cv2.imwrite(str(tmp_path / "ok.png"), np.zeros([4, 4, 3], np.uint8))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "list.txt").write_text(f"ok.png 1\nnone.png 2\npipe.png 3\nempty.png 4\n{tmp_path}/ok.png 5\n")
    return ImageNetDataset(str(tmp_path), str(tmp_path / "list.txt"), 10)


def test_an_item_is_the_files_bytes_its_label_and_where_it_stands(pictures, tmp_path):
    assert tuple(pictures[0]) == ((tmp_path / "ok.png").read_bytes(), 1, "list.txt:1 ok.png")
    assert pictures[4].label == 5


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (1, "list.txt:2 none.png: No such file or directory"),
        (2, "list.txt:3 pipe.png: not a regular file"),
        (3, "list.txt:4 empty.png: the file is empty"),
    ],
)
def test_what_is_no_readable_file_is_told_and_never_waited_for(pictures, index, message):
    with pytest.raises(DataError, match=message) as caught:
        pictures[index]
    assert caught.value.slug == "bad-image"


def test_a_file_that_would_fill_the_memory_is_refused_unread(pictures, tmp_path):
    with (tmp_path / "none.png").open("wb") as file:
        file.truncate(1 << 40)  # a hole: takes no room
    with pytest.raises(DataError, match=r"none\.png: the file has 1099511627776 bytes; at most 1073741824 are read"):
        pictures[1]


def test_arguments_that_cannot_be_are_refused(tmp_path):
    for arguments, message in [
        ({"relabel": True}, "relabel: True is not offered"),
        ({"delimiter": ""}, "delimiter is empty"),
        ({"on_error": "skipp"}, "on_error is one of count_wrong, skip, stop; got 'skipp'; did you mean 'skip'"),
        ({"max_bad_ratio": 1.5}, "max_bad_ratio is a share"),
        ({"max_pixels": 0}, "max_pixels is at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            ImageNetDataset(str(tmp_path), "list.txt", 10, **arguments)


def test_evaluation_never_skips_and_training_never_counts_wrong():
    assert (ReadRule().action("Train"), ReadRule().action("Eval")) == ("skip", "stop")
    with pytest.raises(ValueError, match=r"one of stop, count_wrong in DataLoader\.Eval; got 'skip'"):
        ReadRule(on_error="skip").action("Eval")
    with pytest.raises(ValueError, match=r"one of skip, stop in DataLoader\.Train; got 'count_wrong'"):
        ReadRule(on_error="count_wrong").action("Train")


def test_a_bad_file_is_reported_once_and_counted_every_time(caplog):
    bad = BadSamples(listed=100, max_bad_ratio=0.02)
    for _ in range(3):
        bad.add(BadSample("l.txt:1 a.jpg", "cut short"))
    assert [record.message for record in caplog.records] == ["cannot read l.txt:1 a.jpg: cut short"]
    assert (len(bad), bad.times, bad.records) == (1, 3, [BadSample("l.txt:1 a.jpg", "cut short")])


def test_too_many_bad_files_end_training_with_the_numbers():
    bad = BadSamples(listed=100, max_bad_ratio=0.02)
    bad.restore([BadSample("l.txt:1 a.jpg", "cut short")])
    bad.add(BadSample("l.txt:2 b.jpg", "empty"))
    with pytest.raises(DataError, match="3 of 100 listed pictures cannot be read, more than the 2 that max_bad_ratio"):
        bad.add(BadSample("l.txt:3 c.jpg", "empty"))


def test_synthetic_pictures_decode_to_the_formula_and_differ():
    dataset = SyntheticDataset(class_num=3, samples=6, side=20)
    items = [dataset[i] for i in range(6)]
    assert [item.label for item in items] == [0, 1, 2, 0, 1, 2]
    decoded = [cv2.imdecode(np.frombuffer(item.data, np.uint8), cv2.IMREAD_COLOR) for item in items]
    assert all((picture == dataset.pixels(i)).all() for i, picture in enumerate(decoded))
    assert len({picture.tobytes() for picture in decoded}) == 6
    assert decoded[0].shape == (20, 20, 3)
