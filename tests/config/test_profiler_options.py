"""``-p``: what is read from it, and what is refused in one line."""

import pytest

from ppcls.cli import main
from ppcls.config.profiler_options import ProfilerOptions, parse_profiler_options
from ppcls.utils.errors import ConfigError


def test_a_key_that_is_not_given_is_paddleclas_s() -> None:
    options = parse_profiler_options("state=All")
    assert options == ProfilerOptions()
    assert options == ProfilerOptions((10, 20), "All", "total", "Default", None, True, True)


def test_the_line_of_paddleclas_s_scripts_is_read() -> None:
    text = "batch_range=[50, 60];state=GPU;tracer_option=OpDetail;sorted_key=ave;profile_path=model.profile; "
    read = parse_profiler_options(text + "exit_on_finished=False; timer_only=off;")
    assert read == ProfilerOptions((50, 60), "GPU", "ave", "OpDetail", "model.profile", False, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("batch_rang=[1,2]", "unknown key 'batch_rang'; did you mean 'batch_range'?"),
        ("x=1", "unknown key 'x'; there are batch_range, state, sorted_key, tracer_option, profile_path, "),
        ("batch_range", "'batch_range': expected key=value; separate several by ;"),
        ("profile_path=", "'profile_path=': expected key=value"),
        ("state=CPU;state=CPU", "state is given twice"),
        ("state=cpu", "state: expected one of 'All', 'CPU', 'GPU'; got 'cpu'; did you mean 'CPU'?"),
        ("sorted_key=calls", "sorted_key: expected one of 'default', 'total', 'max', 'min', 'ave'; got 'calls'"),
        ("tracer_option=OpDetails", "got 'OpDetails'; did you mean 'OpDetail'?"),
        ("timer_only=perhaps", "timer_only: expected True or False; got 'perhaps'"),
        ("exit_on_finished=1", "exit_on_finished: expected True or False; got 1"),
        ("batch_range=10", "batch_range: expected a list of 2 integers; got 10"),
        ("batch_range=[10]", "batch_range: expected a list of 2; got [10]"),
        ("batch_range=[1.5, 2]", "batch_range: expected an integer; got 1.5, in [1.5, 2]"),
        ("batch_range=[20, 10]", "batch_range: expected [first, last] with 0 <= first < last; got [20, 10]"),
        ("batch_range=[-1, 10]", "with 0 <= first < last; got [-1, 10]"),
        ("batch_range=[1, 2", "batch_range: its value:1:"),
        ("profile_path=.", "profile_path: expected the name of a file to write; got '.'"),
        (f"profile_path={'x' * 300}", "profile_path: File name too long: 'xxx"),
        (" ; ", "expected key=value with keys of batch_range, "),
        ("timer_only=__import__('os').getpid()", "timer_only: expected True or False; got"),
    ],
)
def test_what_does_not_fit_is_named(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profiler_options(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", ["-p batch_rang=[1,2]", "--profiler_options=batch_rang=[1,2]"])
@pytest.mark.parametrize("command", ["train", "eval", "infer", "export"])
def test_every_command_of_a_run_takes_it_and_refuses_it_wrong(
    command: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "-c", "train1.yaml", *words.split()]) == 2
    said = "unknown key 'batch_rang'; did you mean 'batch_range'?"
    assert capsys.readouterr().err == (
        f"error[usage]: argument -p/--profiler_options: {said}; see ppcls {command} --help\n"
    )


def test_a_dry_run_cannot_be_profiled(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-c", "train1.yaml", "--dry-run", "-p", "batch_range=[1,2]"]) == 2
    assert "--dry-run trains nothing that -p could profile" in capsys.readouterr().err


def test_what_a_timer_does_not_look_at_is_known() -> None:
    idle = parse_profiler_options("state=CPU;sorted_key=max;tracer_option=Default;profile_path=x")
    assert idle.without_effect == ["state", "sorted_key"]
    assert parse_profiler_options("state=CPU;timer_only=False").without_effect == []
