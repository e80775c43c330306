"""From images to features: a small convolutional network, and what an image is.

Letters of the shape suffixes: B batch, C channels, H height, W width, D features.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.nn.check import check_count

FAR = 10.0  # no image in [0, 1], nor one normalised by its mean and deviation, comes near


def to_images(x: Tensor, channels: int, size: tuple[int, int] | None, dims: int = 4) -> Tensor:
    """Return float images, bytes divided by 255.

    Values are looked at on the CPU only: elsewhere that would make every call wait for the device.

    :param x: (B, C, H, W), with 5 ``dims`` (B, T, C, H, W); uint8 in 0..255, or floats about [0, 1] or standardised
    :param channels: C
    :param size: H and W; None for any
    :raises ValueError: another shape or size, or values that are not finite or far from any image's
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"images must be a tensor, were {type(x).__name__}")
    height, width = size or ("height", "width")
    allowed = f"({'batch, ' if dims == 4 else 'batch, time, '}{channels}, {height}, {width})"
    if x.dim() != dims or 0 in x.shape or x.shape[-3] != channels or (size and tuple(x.shape[-2:]) != tuple(size)):
        raise ValueError(f"images must be {allowed}, none of them 0; were {tuple(x.shape)}")
    if x.dtype is torch.uint8:
        return x / 255.0
    if not x.is_floating_point():
        raise ValueError(f"images must be uint8 or floating point, were {x.dtype}")
    largest = float(x.detach().abs().max()) if x.is_cpu and not torch.compiler.is_compiling() else 0.0
    if not largest <= FAR:  # catches NaN too
        raise ValueError(
            f"images must be about [0, 1] or standardised, all finite; the largest magnitude was {largest:g} "
            "(bytes as floats? Give uint8, or divide by 255)"
        )
    return x


class SpatialEncoder(nn.Module):
    """Three convolutions of 3x3, C to h to 2h to 4h, each with a ReLU; halves the map after the first ones.

    It knows no heads and no classes: classifiers read the mean of its map or the places of it, agents the whole.

    :param input_channels: C
    :param hidden_dim: h
    :param pools: after how many of the first two convolutions the map is halved, where it is 4x4 at least

    >>> SpatialEncoder(1, 8)(torch.rand(2, 1, 8, 8)).shape
    torch.Size([2, 32])
    """

    def __init__(self, input_channels: int = 3, hidden_dim: int = 64, pools: int = 2) -> None:
        super().__init__()
        check_count("input_channels", input_channels, 1, 1 << 16)
        check_count("hidden_dim", hidden_dim, 1, 1 << 16)
        check_count("pools", pools, 0, 2)
        self.input_channels = input_channels
        self.features_dim = 4 * hidden_dim
        self.pools = pools
        widths = (input_channels, hidden_dim, 2 * hidden_dim, 4 * hidden_dim)
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))
        for layer in self.convolutions:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]

    def map_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(D, H', W') of the map of images of a size.

        >>> SpatialEncoder(1, 8).map_shape(24, 48)
        (32, 6, 12)
        """
        for _ in range(self.pools):
            if min(height, width) >= 4:
                height, width = height // 2, width // 2
        return self.features_dim, height, width

    def forward(self, x: Tensor) -> Tensor:
        """Encode (B, C, H, W) to (B, D), the mean over the map."""
        return self.feature_map(x).mean((2, 3))

    def feature_map(self, x: Tensor) -> Tensor:
        """Encode (B, C, H, W) to (B, D, H', W'), in the type of the weights whatever that of the images is."""
        x = to_images(x, self.input_channels, None).to(self.convolutions[0].weight.dtype)  # type: ignore[arg-type]
        for i, layer in enumerate(self.convolutions):
            x = F.relu(layer(x))
            if i < self.pools and min(x.shape[2:]) >= 4:
                x = F.max_pool2d(x, 2)
        return x

    def patches(self, x: Tensor) -> Tensor:
        """Encode (B, C, H, W) to one token per place of the map, row by row: (B, H' W', D)."""
        return self.feature_map(x).flatten(2).transpose(1, 2)
