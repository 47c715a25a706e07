"""Every fault of the lists beside this file happens, and all that is promised about it holds."""

from collections.abc import Callable
from pathlib import Path

import config_faults
import disk_faults
import export_faults
import fetch_faults
import kill_faults
import list_faults
import number_faults
import picture_faults
import pytest
import resume_faults
import sample_faults
import signal_faults
import unit_faults
import weight_faults
from fault import Fault, continue_run, happen
from place import Place

FAULTS: list[Fault] = [
    *config_faults.FAULTS,
    *disk_faults.FAULTS,
    *export_faults.FAULTS,
    *fetch_faults.FAULTS,
    *kill_faults.FAULTS,
    *list_faults.FAULTS,
    *picture_faults.FAULTS,
    *sample_faults.FAULTS,
    *number_faults.FAULTS,
    *resume_faults.FAULTS,
    *signal_faults.FAULTS,
    *unit_faults.FAULTS,
    *weight_faults.FAULTS,
]


def _parameter(fault: Fault) -> object:
    return pytest.param(fault, id=fault.name, marks=[pytest.mark.slow] if fault.slow else [])


@pytest.mark.parametrize("fault", [_parameter(fault) for fault in FAULTS])
def test_fault(
    fault: Fault, place_of: Callable[[str], Place], unbroken: Callable[[Fault], Path], may_mount: bool
) -> None:
    if fault.needs_mounts and not may_mount:
        pytest.skip("mounts of one's own are not permitted here")
    place = place_of(fault.start)
    happen(fault, place)
    if fault.continues:
        continue_run(fault, place, unbroken(fault))


def test_every_fault_has_a_name_of_its_own() -> None:
    names = [fault.name for fault in FAULTS]
    assert sorted(set(names)) == sorted(names)
