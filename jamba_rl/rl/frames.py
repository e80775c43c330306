"""The last observations at once: the memory of those who have none."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jamba_rl.nn.mixer import keep


class FrameStack(nn.Module):
    """Puts the frames before the present one beside it, the present one last; zero where the episode had not begun.

    :param size: numbers of a frame (F)
    :param frames: how many are seen at once (k)
    """

    def __init__(self, size: int, frames: int) -> None:
        super().__init__()
        self.size, self.frames = size, frames

    def forward(self, x: Tensor, before: Tensor, resets: Tensor) -> tuple[Tensor, Tensor]:
        """Stack sequences.

        :param x: (B, T, F)
        :param before: (B, k - 1, F), the frames before the first; zero where there were none
        :param resets: (B, T) bool, set at the first step of an episode
        :return: (B, T, k F), and the frames before whatever comes next
        """
        T = x.shape[1]
        frames = torch.cat([before, x], 1)
        episode = torch.cumsum(resets, 1)
        episodes = torch.cat([episode.new_zeros(len(x), self.frames - 1), episode], 1)
        same = [(episodes[:, i : i + T] == episode).unsqueeze(-1) for i in range(self.frames)]
        stacked = torch.cat([frames[:, i : i + T] * part for i, part in enumerate(same)], -1)
        return stacked, frames[:, T:] * (episodes[:, T:] == episode[:, -1:]).unsqueeze(-1)

    def step(self, x: Tensor, before: Tensor, reset: Tensor | None) -> tuple[Tensor, Tensor]:
        """Stack one step; arguments as in ``forward`` without time."""
        frames = torch.cat([keep(before, reset), x.unsqueeze(1)], 1)
        return frames.flatten(1), frames[:, 1:]

    def initial_state(self, batch: int, like: Tensor) -> Tensor:
        """No frames yet, (B, k - 1, F), of the type and on the device of a tensor."""
        return like.new_zeros(batch, self.frames - 1, self.size)
