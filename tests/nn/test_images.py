"""Features of images."""

import pytest
import torch

from jamba_rl.nn.images import SpatialEncoder


@pytest.mark.parametrize("size", [(3, 3), (4, 4), (5, 9), (7, 6), (8, 8), (24, 48), (33, 17)])
@pytest.mark.parametrize("pools", [0, 1, 2])
def test_the_map_has_the_size_that_is_foretold(size, pools):
    encoder = SpatialEncoder(2, 4, pools)
    x = torch.rand(3, 2, *size)
    assert encoder.feature_map(x).shape == (3, *encoder.map_shape(*size))
    D, H, W = encoder.map_shape(*size)
    assert encoder.patches(x).shape == (3, H * W, D)
    torch.testing.assert_close(encoder(x), encoder.patches(x).mean(1))
