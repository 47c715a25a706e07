"""Image files -> answers."""

import csv
import io
import json
import string
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppcls.data.preprocess import Pipeline
from ppcls.utils.errors import ConfigError, DataError
from ppcls.utils.files import read_picture, write_whole
from ppcls.utils.seed import Stream, generator

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}

Answer = dict[str, Any]
Forward = Callable[[np.ndarray], np.ndarray]
PostProcess = Callable[[np.ndarray, Sequence[str]], list[Answer]]


class Predictions(NamedTuple):
    """The answers of one batch, and ``path: reason`` of each picture that could not be read."""

    answers: list[Answer]
    unreadable: list[str]


def find_images(infer_imgs: str | None, infer_list: str | None) -> list[str]:
    """The pictures of a file, of a folder and all below it, or of a list with one path a line.

    Returns:
        Paths as given, those of a folder sorted.
    Raises:
        ConfigError: neither is given, or a path is not there.
        DataError: nothing is there to be named.
    """
    if infer_list:
        images = _read_list(Path(infer_list))
    elif infer_imgs:
        images = _find_below(Path(infer_imgs))
    else:
        raise ConfigError("Infer.infer_imgs: name a picture or a folder; -o Infer.infer_imgs=demo/cat.jpg")
    if not images:
        kinds = " ".join(sorted(_SUFFIXES))
        raise DataError(f"{infer_list or infer_imgs}: no pictures found; expected files ending in {kinds}")
    return images


def predict(
    images: Sequence[str], batch_size: int, pipeline: Pipeline, forward: Forward, post_process: PostProcess
) -> Iterator[Predictions]:
    """Answer ``images`` in batches, in order; an unreadable one is reported, and the others are answered.

    Args:
        forward: float32 ``[N, C, H, W]`` -> probabilities ``[N, class_num]``.
    Raises:
        DataError: ``bad-batch``: the transforms leave the pictures of a batch in different sizes.
    """
    for start in range(0, len(images), batch_size):
        names, arrays, unreadable = [], [], []
        for image in images[start : start + batch_size]:
            try:
                arrays.append(read_image(image, pipeline))
                names.append(image)
            except DataError as error:
                unreadable.append(str(error))
        _require_one_size(names, arrays)
        answers = post_process(forward(np.stack(arrays)), names) if arrays else []
        yield Predictions(answers, unreadable)


def read_image(image: str, pipeline: Pipeline) -> np.ndarray:
    """One picture as float32 ``[C, H, W]``, as the network takes it; DataError names the file."""
    try:
        return pipeline.full(read_picture(image), generator(0, Stream.SAMPLE))
    except OSError as error:
        raise DataError(f"{image}: {error.strerror}") from error
    except DataError as error:
        raise DataError(f"{image}: {error}", error.slug) from error
    except ValueError as error:
        raise DataError(f"{image}: {error}") from error


def write_json(answers: Sequence[Answer], path: Path) -> None:
    """All answers as one JSON list."""
    write_whole(path, (json.dumps(answers, ensure_ascii=False, indent=1) + "\n").encode())


def write_csv(answers: Sequence[Answer], path: Path) -> None:
    """One row an answer and rank: ``file_name,rank,class_id,score,label_name``."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["file_name", "rank", "class_id", "score", "label_name"])
    for answer in answers:
        labels = answer["label_names"] or [""] * len(answer["class_ids"])
        for rank, row in enumerate(zip(answer["class_ids"], answer["scores"], labels, strict=True), start=1):
            writer.writerow([answer["file_name"], rank, *row])
    write_whole(path, text.getvalue().encode())


def _require_one_size(names: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
    for name, array in zip(names, arrays, strict=True):
        if array.shape != arrays[0].shape:
            raise DataError(
                f"pictures of one batch differ: {names[0]} is {list(arrays[0].shape)}, {name} is {list(array.shape)}; "
                "let Infer.transforms resize or crop to one size, or set Infer.batch_size to 1",
                "bad-batch",
            )


def _read_list(path: Path) -> list[str]:
    if not path.is_file():
        raise ConfigError(f"Infer.infer_list: {path} is not a file; expected one picture path a line")
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")  # splitlines also ends a line at U+2028 and others
    except UnicodeDecodeError as error:
        message = f"Infer.infer_list: {path} is not UTF-8 text; expected one picture path a line"
        raise DataError(f"{message} (for a picture itself: Infer.infer_imgs)", "data-list") from error
    names = [line.strip(string.whitespace) for line in lines]
    return [name for name in names if name]


def _find_below(path: Path) -> list[str]:
    if path.is_dir():
        return [str(file) for file in sorted(path.rglob("*")) if file.suffix.lower() in _SUFFIXES and file.is_file()]
    if not path.exists():
        raise ConfigError(f"Infer.infer_imgs: {path} is not there; name a picture or a folder")
    return [str(path)]
