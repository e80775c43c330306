"""Texts of different lengths in one batch: a mask says what is padding.

Texts are moved to the end of their rows, where a reset at the first token of each empties the memory of the padding
before it. So padding on either side leaves no trace, neither in the logits nor in the state.
"""

from __future__ import annotations

import torch
from torch import Tensor


def check_mask(ids: Tensor, mask: Tensor) -> None:
    """Raise ValueError unless the mask marks one text in every row.

    :param ids: (B, T)
    :param mask: (B, T) bool, True where a token is and False where padding is
    """
    if not isinstance(mask, Tensor) or mask.dtype is not torch.bool or mask.shape != ids.shape:
        given = f"{mask.dtype} {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"mask must be torch.bool {tuple(ids.shape)}, True where a token is; was {given}")
    first_BT = mask & ~torch.roll(mask, 1, 1)
    first_BT[:, 0] = mask[:, 0]
    runs_B = first_BT.sum(1)
    if not bool((runs_B == 1).all()):
        row = int((runs_B != 1).nonzero()[0])
        raise ValueError(f"mask must have one text per row, without gaps; row {row} has {int(runs_B[row])} of them")


def to_the_end(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Move every text to the end of its row.

    :param ids: (B, T)
    :param mask: as of ``check_mask``
    :return: ids, mask, and a reset at the first token of every text, all (B, T); and the (B, T) columns that each of
        ``ids`` is in now, to gather what was computed back to where its token was

    >>> to_the_end(torch.tensor([[5, 6, 0]]), torch.tensor([[True, True, False]]))[0]
    tensor([[0, 5, 6]])
    """
    T = ids.shape[1]
    columns_T = torch.arange(T, device=ids.device)
    ends_B1 = T - mask.flip(1).int().argmax(1, keepdim=True)  # one past the last token
    moved_BT = (columns_T + T - ends_B1) % T
    origin_BT = (columns_T + ends_B1) % T
    mask = mask.gather(1, origin_BT)
    reset = columns_T == mask.int().argmax(1, keepdim=True)
    return ids.gather(1, origin_BT), mask, reset, moved_BT
