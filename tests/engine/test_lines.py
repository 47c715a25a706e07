"""Words of the log."""

from ppcls.engine.lines import data_bound_line


def test_a_run_that_waits_for_pictures_says_so_and_what_to_do():
    assert data_bound_line(1.9, 10.0) is None
    line = data_bound_line(3.0, 10.0)
    assert line.startswith("data-bound: 30% of the time went into waiting for pictures; ")
    assert "DataLoader.Train.loader.num_workers" in line
    assert "ppcls bench-data" in line
