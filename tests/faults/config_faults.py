"""Configs that are wrong, hostile or huge: told at once, under their key, and nothing is written or run."""

from collections.abc import Callable
from functools import partial

from fault import Fault
from place import Place
from process import Ended

_AT_ONCE = {"within_s": 2.0, "within_mb": 100.0}  # the promise is 1 s; the machine may be busy


def nothing_written(place: Place, ended: Ended) -> None:
    """The command left no file behind, and ran nothing that would have."""
    files = {path.name for path in place.folder.rglob("*") if path.is_file()}
    assert files <= {"tiny.yaml", "bad.yaml"}


def text(content: str | bytes) -> Callable[[Place], None]:
    """Arranges ``bad.yaml``."""

    def arrange(place: Place) -> None:
        data = content if isinstance(content, bytes) else place.fill(content).encode()
        (place.folder / "bad.yaml").write_bytes(data)

    return arrange


def appended(more: str) -> Callable[[Place], None]:
    """Arranges that the tiny run's YAML goes on so."""

    def arrange(place: Place) -> None:
        place.config.write_text(place.config.read_text() + more)

    return arrange


_refused = partial(Fault, code=2, slug="config", leaves=(nothing_written,))
_bad_file = partial(_refused, command=("train", "-", "-c", "$folder/bad.yaml"))
_BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))

FAULTS = (
    _refused(
        "unknown key",
        "a key is misspelt",
        spoiling=("Global.epoch=2",),
        says=r"^  Global\.epoch  unknown key; did you mean 'epochs'\?",
    ),
    _refused(
        "wrong type",
        "a word stands for a number",
        spoiling=("Global.epochs=two",),
        says=r"^  Global\.epochs  expected an integer; got 'two'",
    ),
    _refused(
        "switch for a number",
        "a number is switched on",
        spoiling=("Global.epochs=true",),
        says=r"^  Global\.epochs  expected an integer; got True",
    ),
    _refused(
        "word on for a number",
        "a number is `on`, which YAML 1.1 would read as a switch",
        spoiling=("Global.save_interval=on",),
        says=r"^  Global\.save_interval  expected an integer; got 'on'",
    ),
    _refused(
        "negative rate",
        "the learning rate is below 0",
        spoiling=("Optimizer.lr.learning_rate=-0.1",),
        says=r"Optimizer\.lr: learning_rate is a number of at least 0; got -0\.1",
    ),
    _refused(
        "rate that is no number",
        "the learning rate is .nan",
        spoiling=("Optimizer.lr.learning_rate=.nan",),
        says=r"^  Optimizer\.lr\.learning_rate  expected a finite number; got nan",
    ),
    _refused(
        "missing section",
        "the data section is not there",
        spoiling=("DataLoader=null",),
        says=r"^  DataLoader\.Train +missing",
    ),
    _refused(
        "three problems",
        "three keys are wrong: all are told",
        spoiling=("Global.epoch=2", "Arch.scal=1", "Loss.Train=CELoss"),
        says=r"3 problems\n(  Global\.epoch .*\n)(  Arch\.scal .*\n)(  Loss\.Train .*\n)",
    ),
    _refused(
        "list that is not there",
        "a configured path leads nowhere",
        spoiling=("Global.pretrained_model=$folder/gone",),
        says=r"no weights at $folder/gone, nor at ",
    ),
    _refused(
        "duplicate key",
        "a section stands twice in the file",
        arrange=appended("Global: {epochs: 9}\n"),
        says=r"tiny\.yaml:\d+:1: duplicate key 'Global'",
    ),
    Fault(
        "exponent without a dot",
        "1e-3, a word to YAML 1.1, is 0.001",
        0,
        command=("config",),
        spoiling=("Optimizer.lr.learning_rate=1e-3",),
        says=r"learning_rate: 0\.001,",
        leaves=(nothing_written,),
    ),
    _bad_file(
        "tag that calls",
        "a YAML asks Python to run a command",
        arrange=text("Arch: !!python/object/apply:os.system ['touch $folder/ran']\n"),
        says=r"bad\.yaml:1:7: tag !!python/object/apply:os\.system is not allowed: a YAML holds values, not code",
    ),
    _refused(
        "name that calls",
        "a network's name is Python code",
        spoiling=("Arch.name=__import__('os').system('touch $folder/ran')",),
        says=r"Arch\.name  unknown backbone ",
    ),
    _refused(
        "option that calls",
        "an override is Python code",
        spoiling=("a=__import__('os').getpid()",),
        says=r"^  a  unknown key",
    ),
    _bad_file(
        "alias bomb",
        "300 bytes become 10^9 values once aliases are followed",
        arrange=text(_BOMB),
        says=r"bad\.yaml:1:1: more than 100,000 values once aliases are followed",
        **_AT_ONCE,
    ),
    _bad_file(
        "alias to itself",
        "a list contains itself",
        arrange=text("Arch: &a [*a]\n"),
        says=r"bad\.yaml:1:11: alias \*a contains itself",
        **_AT_ONCE,
    ),
    _bad_file(
        "deep list",
        "3,000 lists in each other",
        arrange=text("Arch: " + "[" * 3000 + "]" * 3000),
        says=r"bad\.yaml:1:\d+: nested deeper than 64 levels",
        **_AT_ONCE,
    ),
    _bad_file(
        "deep block",
        "3,000 levels by indentation",
        arrange=text("".join(f"{' ' * n}a:\n" for n in range(1000))),
        says=r"bad\.yaml:\d+:\d+: nested deeper than 64 levels",
        **_AT_ONCE,
    ),
    _bad_file(
        "huge file",
        "a config of 50 MB",
        arrange=text(b"# no config is so long\n" * 2_200_000),
        says=r"bad\.yaml: larger than 1,000,000 bytes; no configuration is",
        **_AT_ONCE,
    ),
    _bad_file(
        "two documents",
        "one file holds two YAML documents",
        arrange=text("Global: {}\n---\nGlobal: {}\n"),
        says=r"bad\.yaml:2:1: .*document",
    ),
    _bad_file(
        "binary file",
        "the config is a picture",
        arrange=text(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
        says=r"bad\.yaml:1: not UTF-8 text",
    ),
    _bad_file(
        "base that leads back",
        "a file is its own base",
        arrange=text("_base_: bad.yaml\n"),
        says=r"bad\.yaml: _base_ leads back to this file",
    ),
)
