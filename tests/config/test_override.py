"""``-o key=value``: what the value becomes, and where it goes."""

from typing import Any

import pytest

from ppcls.config.override import apply_override, parse_override
from ppcls.utils.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=2", 2),
        ("a=3e-5", 3e-5),
        ("a=.5", 0.5),
        ("a=True", True),
        ("a=false", False),
        ("a=None", None),
        ("a=", None),
        ("a=~", None),
        ("a='2'", "2"),
        ("a=[1, 5]", [1, 5]),
        ("a=[1,5]", [1, 5]),
        ("a={b: 1}", {"b": 1}),
        ("a={'scale_loss':128.0}", {"scale_loss": 128.0}),
        ("a={'x': None, 'y': True}", {"x": None, "y": True}),
        ("a=k=v=w", "k=v=w"),
        ("a=2021/12", "2021/12"),
        ("a=1-2", "1-2"),
        ("a=2021-12-20", "2021-12-20"),
        ("a=1:30", "1:30"),
        ("a=./out", "./out"),
        ("a=list", "list"),
        ("a=os", "os"),
        ("a=b: c", "b: c"),
        ("a=#1", "#1"),
        ("a=*.jpg", "*.jpg"),
        ("a=!!python/name:os.system", "!!python/name:os.system"),
        ("a=__import__('os').getpid()", "__import__('os').getpid()"),
    ],
)
def test_value_is_one_yaml_scalar_or_flow_collection(text: str, value: object):
    parsed = parse_override(text)
    assert parsed.key == "a"
    assert parsed.value == value
    assert type(parsed.value) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", r"-o a: expected key=value; each -o takes exactly one"),
        ("=1", r"-o =1: expected a dotted key"),
        ("a..b=1", r"-o a\.\.b=1: expected a dotted key"),
        ("a=[1, 2", r"-o a:1:6: expected ',' or '\]'"),
        ("a={'b': !!python/name:os.system }", r"tag !!python/name:os\.system is not allowed"),
        ("a=" + "9" * 5000, r"-o a: a number of 5000 digits"),
    ],
)
def test_text_that_is_no_override_is_refused(text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        parse_override(text)


def put(document: dict[str, Any], text: str) -> dict[str, Any]:
    """The document after one ``-o``."""
    apply_override(document, parse_override(text))
    return document


def test_absent_and_null_sections_are_made():
    assert put({}, "AMP.use_amp=False") == {"AMP": {"use_amp": False}}
    assert put({"AMP": None}, "AMP.use_amp=True") == {"AMP": {"use_amp": True}}
    assert put({"m": [{"TopkAcc": None}]}, "m.0.TopkAcc.topk=1") == {"m": [{"TopkAcc": {"topk": 1}}]}


def test_integers_index_lists_and_negative_ones_count_from_the_end():
    document = {"m": [{"A": {"k": 1}}, {"B": {"k": 1}}]}
    key = apply_override(document, parse_override("m.-1.B.k=5"))
    assert key == "m.1.B.k"
    assert document == {"m": [{"A": {"k": 1}}, {"B": {"k": 5}}]}


def test_whole_entry_of_a_list_is_replaced():
    assert put({"m": [{"A": {}}, 2]}, "m.0={B: {k: 1}}") == {"m": [{"B": {"k": 1}}, 2]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m.2.A=1", "m is a list of 1: it has no entry 2"),
        ("m.-2.A=1", "m is a list of 1: it has no entry -2"),
        ("m.TopkAcc.topk=1", "m is a list of 1: expected an index, got 'TopkAcc'; did you mean 'm.0.TopkAcc.topk'?"),
        ("m.0.TopkAc.topk=1", "m.0 is TopkAcc, not 'TopkAc'; did you mean 'TopkAcc'?"),
        ("n.epochs.x=1", "n.epochs is 3: nothing lies below it, so 'x' leads nowhere"),
        ("n.none.0.A=1", "n.none is a list of 0: it has no entry 0"),
    ],
)
def test_path_that_leads_nowhere_says_where_it_ends(text: str, message: str):
    with pytest.raises(ValueError, match=r".") as caught:
        put({"m": [{"TopkAcc": {"topk": 1}}], "n": {"epochs": 3, "none": None}}, text)
    assert str(caught.value) == message


def test_an_argument_that_is_no_text_is_refused_as_it_can_be_shown():
    with pytest.raises(ConfigError, match=r"-o a=\\udcff: a text that is not Unicode"):
        parse_override("a=\udcff")
    with pytest.raises(ConfigError, match=r"-o a\\x1b: expected key=value"):
        parse_override("a\x1b")


def test_a_long_argument_is_shown_in_part():
    with pytest.raises(ConfigError, match="expected a dotted key") as caught:
        parse_override(".=" + "9" * 5000)
    assert len(str(caught.value)) < 300
