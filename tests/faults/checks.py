"""What several kinds of fault leave behind."""

from fault import Check
from place import Place
from process import Ended


def units_are(*names: str) -> Check:
    """Exactly these units stand."""

    def check(place: Place, ended: Ended) -> None:
        found = [unit.name for unit in place.units]
        assert found == [f"step-00000000{name}" for name in names], found

    return check


def complete(place: Place, ended: Ended) -> None:
    """The run did all it was asked for."""
    assert "training is complete: 2 epochs, 6 updates" in ended.out
    assert place.newest.name == "step-000000006-1"


def complete_epoch(place: Place, ended: Ended) -> None:
    """The run of one epoch did all it was asked for."""
    assert "training is complete: 1 epochs" in ended.out
    assert (place.run / "latest.manifest.json").exists()


def says_once(text: str) -> Check:
    """It is told, and not again and again."""

    def check(place: Place, ended: Ended) -> None:
        assert ended.text.count(place.fill(text)) == 1, ended.text[-3000:]

    return check
