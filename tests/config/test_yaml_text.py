"""What YAML text becomes, and which texts are refused."""

import time
from pathlib import Path

import pytest

from ppcls.config.load import load_document, load_text, merge
from ppcls.utils.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("3e-5", 3e-5),
        (".5", 0.5),
        ("1.", 1.0),
        ("-2.5E+3", -2500.0),
        ("7", 7),
        ("-3", -3),
        ("010", 10),
        ("0x10", 16),
        ("0o10", 8),
        ("True", True),
        ("false", False),
        ("None", None),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_scalar_follows_yaml_1_2_and_python(text: str, value: object):
    loaded = load_text(f"key: {text}", "a.yaml")["key"]
    assert loaded == value
    assert type(loaded) is type(value)


@pytest.mark.parametrize(
    "text", ["1:30", "2021-12-20", "2021/12", "1-2", "1_000", "on", "yes", "./out", "1.0/255.0", "="]
)
def test_word_that_is_no_yaml_1_2_number_stays_text(text: str):
    assert load_text(f"key: {text}", "a.yaml") == {"key": text}


def test_quoted_number_stays_text():
    assert load_text("{a: '1', b: \"True\", c: !!str 3}", "a.yaml") == {"a": "1", "b": "True", "c": "3"}


def test_scalars_in_lists_follow_the_same_rule():
    assert load_text("[1e-8, None, 3e-5]", "a.yaml") == [1e-8, None, 3e-5]


def test_layout_of_published_files_is_read():
    text = "Global:\n  image_channel: &channel 4\n  warmup_epoch : 5\nops:\n  - ToCHWImage:\n  - {n: *channel}"
    assert load_text(text, "a.yaml") == {
        "Global": {"image_channel": 4, "warmup_epoch": 5},
        "ops": [{"ToCHWImage": None}, {"n": 4}],
    }


def test_merge_key_brings_in_what_is_not_said():
    text = "base: &base {a: 1, b: 2}\nover:\n  <<: *base\n  b: 3"
    assert load_text(text, "a.yaml")["over"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r"a\.yaml:3:1: duplicate key 'a'"),
        ("a: [1, 2", r"a\.yaml:1:9: expected ',' or '\]'"),
        ("a:\n\tb: 1", r"a\.yaml:2:1: found character '\\t'"),
        (
            "a: !!python/object/apply:os.system [ls]",
            r"a\.yaml:1:4: tag !!python/object/apply:os\.system is not allowed",
        ),
        ("a: &x [*x]", r"a\.yaml:1:8: alias \*x contains itself"),
        ("a: *x", r"a\.yaml:1:4: found undefined alias 'x'"),
        ("a: 1\n---\nb: 2", r"a\.yaml:2:1: but found another document"),
        ("? [1, 2]\n: 3", r"a\.yaml:1:3: a key is a word"),
        ("a: \x00", r"a\.yaml:1: not text: character 0x0"),
        ("a: " + "9" * 5000, r"a\.yaml:1:4: a number of 5000 digits"),
        ("a: 0x" + "f" * 5000, r"a\.yaml:1:4: a number of 5002 digits"),
        ('a: "\\UFFFFFFFF"', r"a\.yaml:1:\d+: an escape or a version number that is too large"),
        ('a: "\\U00110000"', r"a\.yaml:1:\d+: an escape or a version number that is too large"),
        ("%YAML 1." + "9" * 5000 + "\n---\na", r"a\.yaml:1:\d+: an escape or a version number that is too large"),
        ('a: "b\\0c"', r"a\.yaml:1:4: a text with a zero byte"),
        ('"b\\0c": a', r"a\.yaml:1:1: a text with a zero byte"),
        ('a: "\\uD800"', r"a\.yaml:1:4: a text that is not Unicode: half of a pair of surrogates"),
        ("[" * 65 + "]" * 65, r"a\.yaml:1:65: nested deeper than 64 levels"),
        ("a: &x 1\nb: [" + "*x," * 101 + "]", r"more than 100 aliases"),
    ],
)
def test_bad_text_is_refused_with_line_and_column(text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load_text(text, "a.yaml")


def test_64_levels_and_100_aliases_are_allowed():
    assert load_text("[" * 64 + "]" * 64, "a.yaml")
    assert len(load_text("a: &x 1\nb: [" + "*x," * 100 + "]", "a.yaml")["b"]) == 100


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 10}]\n" for i in range(1, 10)),
        "[" * 3000 + "]" * 3000,
        "{a: " * 3000,
    ],
    ids=["alias bomb", "nested lists", "nested mappings"],
)
def test_bomb_is_refused_at_once(text: str):
    start = time.perf_counter()
    with pytest.raises(ConfigError):
        load_text(text, "a.yaml")
    assert time.perf_counter() - start < 1


def test_file_above_a_megabyte_is_refused_unread(tmp_path: Path):
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(ConfigError, match="larger than 1,000,000 bytes"):
        load_document(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: \xff\xfe", r"b\.yaml:2: not UTF-8 text"),
        (b"", r"b\.yaml: expected a mapping of sections; got null"),
        (b"- 1\n", r"b\.yaml: expected a mapping of sections; got \[1\]"),
    ],
)
def test_file_that_is_no_mapping_is_refused(tmp_path: Path, data: bytes, message: str):
    path = tmp_path / "b.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=message):
        load_document(path)


def test_folder_as_config_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="Is a directory"):
        load_document(tmp_path)


def test_byte_order_mark_and_missing_last_newline_are_read(tmp_path: Path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert load_document(path) == {"a": 1}


def test_base_is_merged_key_by_key_and_lists_are_replaced(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "base.yaml").write_text("a: {x: 1, y: [1, 2]}\nb: {z: 1}\n")
    (tmp_path / "middle.yaml").write_text("_base_: base.yaml\nb: null\n")
    (tmp_path / "sub" / "top.yaml").write_text("_base_: ../middle.yaml\na: {y: [3]}\nc: 4\n")
    assert load_document(tmp_path / "sub" / "top.yaml") == {"a": {"x": 1, "y": [3]}, "b": None, "c": 4}


def test_base_that_is_missing_or_leads_back_is_refused(tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_text("_base_: nowhere.yaml\n")
    with pytest.raises(ConfigError, match=r"a\.yaml: _base_: no such file: .*nowhere\.yaml"):
        load_document(path)
    path.write_text("_base_: b.yaml\n")
    (tmp_path / "b.yaml").write_text("_base_: a.yaml\n")
    with pytest.raises(ConfigError, match="_base_ leads back to this file"):
        load_document(path)
    path.write_text("_base_: [b.yaml]\n")
    with pytest.raises(ConfigError, match="expected the path of one YAML file"):
        load_document(path)


def test_base_of_a_name_that_no_file_can_have_is_refused(tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_text(f"_base_: {'x' * 5000}\n")
    with pytest.raises(ConfigError, match=r"a\.yaml: _base_: no such file: "):
        load_document(path)
    path.write_text('_base_: "\\x1b[2J"\n')
    with pytest.raises(ConfigError, match=r"no such file: .*\\x1b\[2J$"):
        load_document(path)


def test_what_aliases_share_is_separate_after_loading(tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &x {k: [1]}\nb: *x\n")
    document = load_document(path)
    document["a"]["k"].append(2)
    assert document["b"] == {"k": [1]}


def test_merge_leaves_its_arguments_alone():
    below, above = {"a": {"x": 1}}, {"a": {"y": 2}}
    assert merge(below, above) == {"a": {"x": 1, "y": 2}}
    assert (below, above) == ({"a": {"x": 1}}, {"a": {"y": 2}})
