"""Topk: probabilities -> sorted, labelled answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

import ppcls
from ppcls.registry import POSTPROCESSES
from ppcls.utils.errors import NonFiniteError


class Answer(TypedDict):
    """What is printed for one picture, in this order."""

    class_ids: list[int]
    scores: list[float]
    file_name: str
    label_names: list[str]


@POSTPROCESSES.register
class Topk:
    """The ``topk`` most probable classes of each picture, best first.

    Args:
        topk: at least 1; more than there are classes means all of them.
        class_id_map_file: lines ``<class number><delimiter><name>``, UTF-8; a relative path is tried from the working
            directory, then from where ppcls lies. A class that is not in it is named by its number.
        delimiter: what stands between number and name; it may occur in the name.
    Raises:
        ValueError: topk below 1, no such file, or a line without a class number; the message names file and line.
    Source: PaddleClas ``Topk``, where one blank line discards all names.
    """

    def __init__(self, topk: int = 1, class_id_map_file: str | None = None, delimiter: str | None = " ") -> None:
        if topk < 1:
            raise ValueError(f"Topk topk is at least 1; got {topk}")
        self._topk = topk
        self._names = None if class_id_map_file is None else read_names(class_id_map_file, delimiter or " ")

    def __call__(self, scores: np.ndarray, file_names: Sequence[str]) -> list[Answer]:
        """Softmax probabilities ``[N, C]`` and N names -> N answers, scores rounded to 5 decimals.

        Raises:
            NonFiniteError: a score is NaN or infinite; the message names the picture.
        """
        return [self._answer(row, name) for row, name in zip(scores, file_names, strict=True)]

    def _answer(self, row: np.ndarray, file_name: str) -> Answer:
        if not np.isfinite(row).all():
            raise NonFiniteError(f"the network's scores for {file_name} are not finite; look at weights and input")
        best = np.argsort(-row, kind="stable")[: self._topk].tolist()
        return Answer(
            class_ids=best,
            scores=[round(float(row[class_id]), 5) for class_id in best],
            file_name=file_name,
            label_names=[] if self._names is None else [self._names.get(number, str(number)) for number in best],
        )


def read_names(path: str, delimiter: str = " ") -> dict[int, str]:
    """Class number -> name; blank lines are skipped, and of a number that occurs twice the last line counts.

    Raises:
        ValueError: the file is not there or not UTF-8, or a line does not begin with a number.
    """
    file = _find(path)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"class_id_map_file {file} is not UTF-8: {error}") from error
    names = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        class_id, _, name = line.strip().partition(delimiter)
        if not class_id.strip().isdecimal():
            raise ValueError(f"{file}:{number}: expected '<class number>{delimiter}<name>'; got {line!r}")
        names[int(class_id)] = name.strip()
    return names


def _find(path: str) -> Path:
    candidates = [Path(path), Path(ppcls.__file__).parents[1] / path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if candidates[0] == candidates[1]:
        raise ValueError(f"class_id_map_file {path} is not there")
    raise ValueError(f"class_id_map_file is neither at {candidates[0].resolve()} nor at {candidates[1]}")
