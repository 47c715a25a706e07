"""Pictures in files, named with their labels by a list file."""

import logging
import os
from typing import Any

import numpy as np

from ppcls.data.dataloader.bad_samples import ReadRule
from ppcls.data.dataloader.list_file import ListFile, read_list
from ppcls.data.dataloader.values import Item
from ppcls.registry import DATASETS
from ppcls.utils.errors import ConfigError, DataError
from ppcls.utils.files import read_picture

_log = logging.getLogger("ppcls")


@DATASETS.register(accepts=ReadRule)
class ImageNetDataset:
    """Pictures in files, listed with their labels.

    ``cls_label_path`` holds a line ``path label`` for each; paths are relative to ``image_root`` or absolute.
    The list is checked whole here; files are looked at when they are read.

    Args:
        class_num: every label is in [0, class_num).
        delimiter: between path and label; None is the last white space of the line.
        relabel: refused: it would number the classes of the training and the evaluation list apart.
        reading: see ``ReadRule``.
    Raises:
        ConfigError: list or root is not there.
        DataError: bad lines in the list, or no line.
    """

    def __init__(
        self,
        image_root: str,
        cls_label_path: str,
        class_num: int,
        delimiter: str | None = None,
        allow_outside_root: bool = False,
        relabel: bool = False,
        **reading: Any,
    ) -> None:
        if relabel:
            raise ValueError("relabel: True is not offered; write labels 0 .. class_num - 1 into the list")
        if delimiter == "":
            raise ValueError("delimiter is empty; leave it out to split at the last white space")
        self.rule = ReadRule(**reading)
        if not os.path.isdir(image_root):
            raise ConfigError(f"folder {image_root} is not there; give the pictures' folder as image_root")
        self._root = os.fsencode(image_root)
        self._list = self._read_list(cls_label_path, class_num, delimiter, allow_outside_root)

    def _read_list(self, file: str, class_num: int, delimiter: str | None, allow_outside_root: bool) -> ListFile:
        listed = read_list(file, class_num, delimiter, allow_outside_root)
        _log.info("%s: %s", file, _describe(listed.labels, class_num))
        return listed

    def __len__(self) -> int:
        return len(self._list)

    def __getitem__(self, index: int) -> Item:
        """The file's bytes and its label; DataError if they cannot be read."""
        where = self.where(index)
        try:
            data = read_picture(os.path.join(self._root, self._list.path(index)))
        except OSError as error:
            raise DataError(f"{where}: {error.strerror}") from error
        return Item(data, int(self._list.labels[index]), where)

    def where(self, index: int) -> str:
        """``train.txt:17 a/b.JPEG``"""
        return self._list.where(index)


def _describe(labels: np.ndarray, class_num: int) -> str:
    """``1281167 pictures in 1000 of 1000 classes, 732 to 1300 each``"""
    counts = np.bincount(labels, minlength=class_num)
    used = counts[counts > 0]
    return f"{len(labels)} pictures in {len(used)} of {class_num} classes, {used.min()} to {used.max()} each"
