"""What YAML may name, read from sources without running them."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppcls.config.catalogue import Parameter, build_catalogue
from ppcls.config.check import check_component
from ppcls.config.schema import Component
from ppcls.registry import Registry

SOURCE = {
    "zoo/net.py": '''
from zoo.base import Base
from ppcls.registry import BACKBONES, OPS
raise SystemExit("a catalogue must not run this")

class Net(Base):
    """A net."""
    def __init__(self, scale: float = 1.0, *, alpha: "float | None" = None, depth: int) -> None: ...

@BACKBONES.register(accepts=Net, sets=["scale"])
def Net_x2(**kwargs):
    """Twice as wide.

    More.
    """
    return Net(scale=2.0, **kwargs)

@BACKBONES.register
class Plain(Base): ...

@BACKBONES.register(accepts=Base)
def Imported(**kwargs): ...

@OPS.register
@dataclass(frozen=True)
class Flip:
    flip_code: int = 1
    RIGHT: ClassVar[int] = 0
''',
    "zoo/base.py": "class Base:\n    def __init__(self, class_num: int, drop: float = 0.0) -> None: ...\n",
}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The entries that the catalogue finds in SOURCE."""
    for name, text in SOURCE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    registries = {"BACKBONES": Registry("backbone"), "OPS": Registry("transform op")}
    catalogue = build_catalogue(registries, tmp_path / "zoo")
    return {name: dict(table.entries) for name, table in catalogue.items()}


def test_decorated_function_has_the_arguments_it_accepts_less_those_it_sets(tables: dict[str, dict[str, Any]]):
    entry = tables["BACKBONES"]["Net_x2"]
    assert entry.parameters == {"alpha": Parameter("'float | None'", "None"), "depth": Parameter("int", None)}
    assert entry.summary == "Twice as wide."


def test_class_without_constructor_has_that_of_its_imported_base(tables: dict[str, dict[str, Any]]):
    base = {"class_num": Parameter("int", None), "drop": Parameter("float", "0.0")}
    assert tables["BACKBONES"]["Plain"].parameters == base
    assert tables["BACKBONES"]["Imported"].parameters == base


def test_dataclass_has_its_fields(tables: dict[str, dict[str, Any]]):
    assert tables["OPS"]["Flip"].parameters == {"flip_code": Parameter("int", "1")}


def test_what_is_registered_in_the_process_counts_too(tmp_path: Path):
    registry = Registry("hook")

    @registry.register
    class EarlyStop:
        """Stops."""

        def __init__(self, patience: int, delta: float = 0.0, unit: Callable[[], int] | None = None) -> None: ...

    catalogue = build_catalogue({"HOOKS": registry}, tmp_path)
    entry = catalogue["HOOKS"].entries["EarlyStop"]
    assert entry.parameters["patience"] == Parameter("int", None)
    assert entry.parameters["delta"] == Parameter("float", "0.0")
    _, problems = check_component(Component("EarlyStop", {"patince": 3}, "Hooks.0.EarlyStop"), "HOOKS", catalogue)
    assert [tuple(problem) for problem in problems] == [
        ("Hooks.0.EarlyStop.patince", "EarlyStop has no such argument; did you mean 'patience'?"),
        ("Hooks.0.EarlyStop.patience", "missing"),
    ]


def test_sources_and_live_registries_agree():
    pytest.importorskip("paddle")
    import ppcls.loss
    import ppcls.metric
    import ppcls.optimizer  # noqa: F401
    from ppcls import registry

    catalogue = build_catalogue()
    for table in (registry.LOSSES, registry.METRICS, registry.OPTIMIZERS, registry.SCHEDULES):
        entries = next(found.entries for found in catalogue.values() if found.kind == table.kind)
        for name in table.names():
            assert set(entries[name].parameters) == set(table.parameters(name)), name


def test_wrong_config_is_told_within_a_second_and_without_paddle():
    code = (
        "import sys\nfrom ppcls.config import ConfigError, load_run\n"
        "try:\n    load_run('train1.yaml', ['Global.epoch=3'])\n"
        "except ConfigError as error:\n    print(error)\nprint('paddle' in sys.modules)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 5  # about 0.4 on an idle computer
    assert done.stdout.splitlines() == [
        "train1.yaml: 1 problem",
        "  Global.epoch  unknown key; did you mean 'epochs'?",
        "False",
    ]
