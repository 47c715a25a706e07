"""YAML values under the annotations that constructors carry."""

import pytest

from ppcls.config.values import Mismatch, convert, is_plain


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, "float", 1.0),
        (1, "int | float", 1),
        ("1.0/255.0", "float", 1.0 / 255.0),
        ("1/3", "float | None", 1 / 3),
        ("1.0/3.0", "str", "1.0/3.0"),
        ("1.0/3.0", "float | str", "1.0/3.0"),
        ("yes", "bool", True),
        ("Off", "bool", False),
        ("no", "bool | str", "no"),
        (None, "int | None", None),
        (None, "Optional[int]", None),
        (None, "Union[int, None]", None),
        ([1, 2], "Sequence[float]", [1.0, 2.0]),
        ([1, 2], "tuple[float, float]", (1.0, 2.0)),
        ([1, 2, 3], "tuple[int, ...]", (1, 2, 3)),
        ([1, 2], "int | list[int]", [1, 2]),
        ([1, "a"], "list", [1, "a"]),
        ({"a": 1}, "dict[str, Any] | None", {"a": 1}),
        ("O1", "Literal['O1', 'O2']", "O1"),
        ("x", "Any", "x"),
        ("x", "", "x"),
        (3, "collections.abc.Sequence[int] | int", 3),
        ("anything", "nn.Layer", "anything"),
    ],
)
def test_value_takes_the_type_of_its_annotation(value: object, annotation: str, expected: object):
    converted = convert(value, annotation)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        ("3", "int", "expected an integer; got '3'"),
        (2.0, "int", "expected an integer; got 2.0"),
        (True, "int", "expected an integer; got True"),
        (True, "float", "expected a number; got True"),
        ("on", "float", "expected a number; got 'on'"),
        ("1/0", "float", "expected a number; got '1/0'"),
        ("os.sep", "float", "expected a number; got 'os.sep'"),
        (float("nan"), "float", "expected a finite number; got nan"),
        (float("inf"), "float | None", "expected a finite number; got inf"),
        (10**400, "float", f"expected a number; got 1{'0' * 56}..."),
        (f"{10**400}/1", "float", f"expected a number; got '1{'0' * 55}..."),
        ("1e300/1e-300", "float", "expected a number; got '1e300/1e-300'"),
        ("maybe", "bool", "expected True or False; got 'maybe'"),
        (1, "bool", "expected True or False; got 1"),
        (None, "int", "expected an integer; got null"),
        (2021, "str", "expected text; got 2021; put it in quotes"),
        ("O3", "Literal['O1', 'O2']", "expected one of 'O1', 'O2'; got 'O3'"),
        ("a", "int | Sequence[int]", "expected an integer or a list of integers; got 'a'"),
        ([1, "a"], "int | Sequence[int]", "expected an integer; got 'a', in [1, 'a']"),
        ([1, 2], "tuple[int, int, int]", "expected a list of 3; got [1, 2]"),
        (5, "tuple[float, float]", "expected a list of 2 numbers; got 5"),
        (5, "dict", "expected a mapping; got 5"),
        ("x" * 100, "int", "expected an integer; got '" + "x" * 56 + "..."),
    ],
)
def test_value_that_does_not_fit_is_named(value: object, annotation: str, message: str):
    with pytest.raises(Mismatch) as caught:
        convert(value, annotation)
    assert str(caught.value) == message


def test_annotation_is_plain_when_yaml_can_write_it():
    assert is_plain("int | Sequence[float] | None")
    assert not is_plain("Common")
    assert not is_plain("int | nn.Layer")
