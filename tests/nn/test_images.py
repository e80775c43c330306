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


@pytest.mark.parametrize("weights", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("images", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8])
def test_images_of_any_type_are_seen_in_that_of_the_weights(weights, images):
    encoder = SpatialEncoder(1, 4).to(weights)
    x = (255 * torch.rand(2, 1, 8, 8)).byte() if images is torch.uint8 else torch.rand(2, 1, 8, 8).to(images)
    seen = encoder(x)
    assert seen.dtype is weights
    as_floats = x / 255 if images is torch.uint8 else x
    torch.testing.assert_close(seen, encoder(as_floats.to(weights)))
