"""Runs that must fail well: one clear line, the right exit code, no traceback; and pictures to spoil."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_run import run

TRAIN = ("Global.epochs=1", "DataLoader.Train.dataset.batch_transform_ops=null", "Optimizer.lr={learning_rate: 0.001}")


def ends(capsys: pytest.CaptureFixture[str], code: int, slug: str, *given: object, flags: tuple[str, ...] = ()) -> str:
    """Run a command that must fail so; what it wrote to standard error, whose last line is the error.

    Args:
        given: command, config, overrides, as for ``run``.
    """
    capsys.readouterr()
    assert run(*given, flags=flags) == code
    return told(capsys.readouterr().err, slug, code)


def told(text: str, slug: str, code: int) -> str:
    """``text``, once it is clear that it ends in ``error[<slug>]: ...``, which only a config's problems may follow."""
    assert "Traceback" not in text
    lines = text.splitlines()
    errors = [number for number, line in enumerate(lines) if line.startswith("error[")]
    assert len(errors) == 1, text
    assert lines[errors[0]].startswith(f"error[{slug}]: "), text
    details = lines[errors[0] + 1 :]
    assert not details or (code == 2 and all(line.startswith("  ") for line in details)), text
    return text


def make_pictures(folder: Path, count: int = 8) -> Path:
    """``0.png``, ``1.png``, ... that are good, and ``cut.jpg``, ``page.jpg``, ``empty.jpg`` that are not."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 255, (36 + number, 40, 3), dtype=np.uint8))
    whole = cv2.imencode(".jpg", rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))[1].tobytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "page.jpg").write_text("<html>404</html>")
    (folder / "empty.jpg").write_bytes(b"")
    return folder


def listed(folder: Path, split: str, lines: str = "") -> str:
    """The override that makes ``split`` read ``folder/pictures`` by a list of the good ones and then ``lines``."""
    good = "".join(f"{number}.png {number % 4}\n" for number in range(8))
    (folder / "list.txt").write_text(good + lines)
    ops = "[DecodeImage: {}, ResizeImage: {size: 32}, NormalizeImage: {order: ''}]"
    where = f"image_root: {folder / 'pictures'}, cls_label_path: {folder / 'list.txt'}"
    return f"DataLoader.{split}.dataset={{name: ImageNetDataset, {where}, transform_ops: {ops}}}"


def flip_a_bit(path: Path) -> None:
    """Damage a file alone, not the other names of its bytes."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)
