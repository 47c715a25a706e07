"""``ppcls curves``, and the curves every run leaves."""

import argparse
import csv
import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from ppcls.cli.curves import add_curves_arguments, curves
from ppcls.utils.curves import Curve, draw_curves, read_curve
from ppcls.utils.errors import ConfigError, DataError

PUBLISHED = Path(__file__).parents[2] / "log" / "published"
SUMMARY = "epoch,lr,train_loss,eval_loss,top1,top5\n1,0.1,2.5,,,\n2,0.05,2.25,1.5,0.5,0.75\n"
BLUE, ORANGE = (31, 119, 180), (255, 127, 14)  # matplotlib's first two


def _run(folder, text=SUMMARY):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.csv").write_text(text)
    return folder


def _curves(*argv):
    parser = argparse.ArgumentParser()
    add_curves_arguments(parser)
    return curves(parser.parse_args([str(word) for word in argv]))


def test_run_folder_gives_its_columns_and_gaps_where_it_was_not_evaluated(tmp_path):
    curve = read_curve(_run(tmp_path / "my run"))
    assert (curve.name, curve.epochs) == ("my run", (1, 2))
    assert curve.columns["lr"] == (0.1, 0.05)
    assert math.isnan(curve.columns["top1"][0])
    assert curve.points("top1") == [(2, 0.5)]
    assert curve.points("ema_top1") == []


def test_stages_follow_each_other_in_the_order_of_their_numbers(tmp_path):
    for stage in ("stage1", "stage2", "stage10"):
        _run(tmp_path / stage, SUMMARY.replace("0.5,0.75", f"0.{len(stage)}{stage[-1]},"))
    curve = read_curve(tmp_path)
    assert curve.epochs == (1, 2, 3, 4, 5, 6)
    assert curve.points("top1") == [(2, 0.61), (4, 0.62), (6, 0.7)]
    assert curve.points("train_loss")[2:4] == [(3, 2.5), (4, 2.25)]


def test_published_logs_are_read_with_their_rates():
    with (PUBLISHED / "stage1_train.csv").open() as file:
        rates = {int(row["epoch"]): float(row["lr_logged"]) for row in csv.DictReader(file) if row["iter"] == "600"}
    one, both = read_curve(PUBLISHED / "stage1_epochs.csv"), read_curve(PUBLISHED)
    assert (one.name, len(one.epochs), len(both.epochs)) == ("stage1", 200, 389)
    assert dict(one.points("lr")) == rates
    assert dict(one.points("top1"))[180] == 0.64910
    assert dict(both.points("top1"))[386] == 0.72986
    assert dict(both.points("eval_loss"))[201] == 1.87572


def test_line_cut_short_by_a_kill_is_left_out_and_a_repeated_epoch_counts_last(tmp_path):
    curve = read_curve(_run(tmp_path, SUMMARY + "2,0.05,2.0,1.4,0.6,0.8\n3,0.01,2."))
    assert curve.points("top1") == [(2, 0.6)]
    assert curve.epochs == (1, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"summary\.csv: no column 'epoch' in its first line"),
        ("a,b\n1,2\n", r"summary\.csv: no column 'epoch' in its first line"),
        ("epoch,lr\n1,0.1\n2,fast\n", r"summary\.csv:3: could not convert .*'fast'; expected a number or nothing"),
        ("epoch,lr\n1,0.1,7\n2,0.1\n", r"summary\.csv:2: .*; expected a number or nothing for each of epoch, lr"),
        ("epoch,lr\n,0.1\n2,0.1\n", r"summary\.csv:2: cannot convert float NaN"),
        ("epoch,lr\ninf,0.1\n2,0.1\n", r"summary\.csv:2: cannot convert float infinity"),
        ("\x89PNG\x00\x00", r"summary\.csv: (no column|not a csv)"),
    ],
)
def test_file_that_is_no_summary_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_curve(_run(tmp_path, text))


def test_folder_without_a_summary_is_a_usage_error(tmp_path):
    with pytest.raises(ConfigError, match=r"no summary\.csv in .* expected a run's folder, or a csv of log/published"):
        read_curve(tmp_path)


def _rows_drawn(path, color, share):
    """The rows in which the picture's column at ``share`` of its width has the colour."""
    image = cv2.imread(str(path))[:, :, ::-1].astype(int)
    column = image[:, int(image.shape[1] * share)]
    return (abs(column - color).sum(axis=1) < 30).nonzero()[0]


def test_picture_shows_every_run_in_its_colour(tmp_path):
    low, high = (Curve(name, (1, 2, 3), {"top1": (v, v, v)}) for name, v in (("low", 0.2), ("high", 0.8)))
    out = tmp_path / "new" / "out.png"
    draw_curves([low, high], out)
    blue, orange = _rows_drawn(out, BLUE, 0.3), _rows_drawn(out, ORANGE, 0.3)  # left of the legend
    assert min(len(blue), len(orange)) > 0
    assert blue.min() > orange.max()


def test_run_of_one_epoch_is_a_dot_and_one_without_evaluation_draws_nothing(tmp_path):
    one, none, nan = Curve("a", (1,), {"top1": (0.5,)}), Curve("b", (), {}), Curve("c", (1,), {"top1": (math.nan,)})
    draw_curves([one, none, nan], tmp_path / "x.png")
    in_the_middle = [len(_rows_drawn(tmp_path / "x.png", BLUE, share / 1000)) for share in range(500, 580)]
    assert max(in_the_middle) > 0


def test_format_follows_the_suffix_and_an_unknown_one_is_refused(tmp_path):
    draw_curves([Curve("a", (1,), {"lr": (0.5,)})], tmp_path / "x.svg")
    assert "<svg" in (tmp_path / "x.svg").read_text()
    with pytest.raises(ConfigError, match=r"cannot draw as '\.doc'; name the file \.png, \.svg or \.pdf"):
        draw_curves([], tmp_path / "x.doc")


def test_drawing_leaves_no_global_plotting_state(tmp_path):
    code = (
        "import sys; from pathlib import Path; from ppcls.utils.curves import Curve, draw_curves; "
        f"draw_curves([Curve('a', (1,), {{'lr': (0.5,)}})], Path({str(tmp_path / 'x.png')!r})); "
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'paddle' not in sys.modules"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "MPLBACKEND")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_missing_matplotlib_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match="drawing needs matplotlib: pip install matplotlib"):
        draw_curves([], tmp_path / "x.png")


def test_command_draws_and_prints_the_best_epochs(tmp_path, capsys):
    out = tmp_path / "both.png"
    assert _curves(_run(tmp_path / "run"), PUBLISHED, "-o", out) == 0
    assert capsys.readouterr().out.splitlines() == [
        "run: 2 epochs, best top1 0.50000 at epoch 2, last 0.50000",
        "published: 389 epochs, best top1 0.72986 at epoch 386, last 0.72828",
        f"drawn: {out}",
    ]
    assert cv2.imread(str(out)) is not None


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path, capsys):
    _curves(_run(tmp_path / "a/run"), _run(tmp_path / "b/run", "epoch,lr\n1,0.1\n"), "-o", tmp_path / "x.png")
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tmp_path}/a/run: 2 epochs, best")
    assert second == f"{tmp_path}/b/run: 1 epochs, none evaluated"
