"""Images to learn from: scikit-learn's digits, which come with it, and CIFAR-10's files, which must be there."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

CIFAR_TRAIN = [f"data_batch_{i}" for i in range(1, 6)]


class Images(NamedTuple):
    """Images uint8 (N, C, H, W) and classes int64 (N,), to train on and to test on."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def load_digits() -> Images:
    """Return 1797 handwritten digits of 8x8, always the same 1437 to train on and 360 to test on.

    :raises ImportError: scikit-learn is missing
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise ImportError("the digits come with scikit-learn: pip install scikit-learn") from error
    bunch = load()
    # 17 grey values, 0 to 16
    x = torch.from_numpy((bunch.images * (255 / 16)).round().astype(np.uint8)).unsqueeze(1)
    y = torch.from_numpy(bunch.target.astype(np.int64))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    test, train = order[:360], order[360:]
    return Images(x[train], y[train], x[test], y[test])


def load_cifar10(folder: str | Path) -> Images:
    """Return CIFAR-10's 50000 and 10000 images of 3x32x32 from its files, binary or Python's.

    :param folder: holds ``cifar-10-batches-bin`` or ``cifar-10-batches-py``, or is one of them
    :raises FileNotFoundError: says what to put where
    :raises ValueError: a file is not what its name says
    """
    folder = Path(folder)
    for place in (folder, folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"):
        for suffix, read in ((".bin", _read_binary), ("", _read_pickle)):
            files = [place / f"{name}{suffix}" for name in (*CIFAR_TRAIN, "test_batch")]
            if all(file.is_file() for file in files):
                *train, (test_x, test_y) = map(read, files)
                train_x, train_y = (torch.cat(part) for part in zip(*train, strict=True))
                return Images(train_x, train_y, test_x, test_y)
    raise FileNotFoundError(
        f"{folder}: CIFAR-10 is not there. Unpack cifar-10-binary.tar.gz or cifar-10-python.tar.gz of "
        f"cs.toronto.edu/~kriz/cifar.html, so that {folder / 'cifar-10-batches-bin' / 'data_batch_1.bin'} or "
        f"{folder / 'cifar-10-batches-py' / 'data_batch_1'} exists, with data_batch_2 to 5 and test_batch beside it"
    )


def _read_binary(file: Path) -> tuple[Tensor, Tensor]:
    """Rows of a class and 3072 values."""
    raw = np.fromfile(file, np.uint8)
    if len(raw) == 0 or len(raw) % 3073:
        raise ValueError(f"{file}: is not of CIFAR-10, which has rows of 3073 bytes; it has {len(raw)} bytes")
    rows = torch.from_numpy(raw).view(-1, 3073)
    return _checked(file, rows[:, 1:], rows[:, 0])


def _read_pickle(file: Path) -> tuple[Tensor, Tensor]:
    """A dict of ``data`` (N, 3072) and ``labels``."""
    try:
        found = _OnlyArrays(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        return _checked(file, torch.from_numpy(found[b"data"].copy()), torch.tensor(found[b"labels"]))
    except (pickle.UnpicklingError, KeyError, EOFError, AttributeError, TypeError) as error:
        raise ValueError(f"{file}: is not of CIFAR-10 ({error})") from error


def _checked(file: Path, rows: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    if (
        rows.dtype is not torch.uint8
        or rows.shape != (len(labels), 3072)
        or not bool(((labels >= 0) & (labels <= 9)).all())
    ):
        found = f"{rows.dtype} {tuple(rows.shape)}, classes {sorted(set(labels.tolist()))[:12]}"
        raise ValueError(f"{file}: is not of CIFAR-10, which has bytes (N, 3072) and classes 0 to 9: {found}")
    return rows.view(-1, 3, 32, 32), labels.long()


class _OnlyArrays(pickle.Unpickler):
    """Refuses what runs code: a pickle may name any function."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what arrays are made of, and nothing else."""
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            from numpy._core.multiarray import _reconstruct

            return _reconstruct
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # bytes of Python 2, written by Python 3
            import codecs

            return codecs.encode
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no part of an array")
