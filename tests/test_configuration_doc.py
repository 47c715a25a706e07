"""docs/configuration.md names every key of the schema, with its default, and no other."""

import dataclasses
import re
from pathlib import Path

import pytest

from ppcls.config import schema
from ppcls.config.load import scalar
from ppcls.config.schema import Component

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
ROWS = {
    key: (default, text) for key, default, text in re.findall(r"^\| `([\w.*]+)` \| (.*?) \| ?(.*?) ?\|$", TEXT, re.M)
}


def documented(key: str, cls: type) -> dict[str, object]:
    """Dotted key -> default, MISSING for none, of a section and all below it."""
    found: dict[str, object] = {}
    for field in dataclasses.fields(cls):
        if key == "DataLoader" and field.name == "Eval":
            continue  # a twin of Train
        name = "*" if key == "DataLoader" else field.metadata.get("at") or field.name
        path = f"{key}.{name}" if key else name
        section = re.match(r"PerSplit|\w+Config", str(field.type))
        if section:
            found |= documented(path, getattr(schema, section[0]))
        elif field.type == "Component" and field.name == "component":
            found[f"{key}.name"] = dataclasses.MISSING
        elif field.name == "lr":
            found[f"{path}.name"] = "ConstLR"
        else:
            found[path] = dataclasses.MISSING if "train" in field.metadata.get("needed", ()) else field.default
    return found


KEYS = documented("", schema.Config) | {"Loss.Train": dataclasses.MISSING}


def test_every_key_is_documented_and_every_documented_key_exists() -> None:
    assert sorted(ROWS) == sorted(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_the_documented_default_is_the_one_that_holds(key: str) -> None:
    text, default = ROWS[key][0], KEYS[key]
    if default is dataclasses.MISSING:
        assert text == "needed"
        return
    if isinstance(default, Component):
        default = default.name
    listed = [int(number) for number in re.findall(r"\d+", text)] if text.startswith("[") else scalar(text.strip("'"))
    if text == "''":
        listed = ""
    assert listed == (list(default) if isinstance(default, tuple) else default)
