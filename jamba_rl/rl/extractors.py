"""From one observation to features: which of SB3's extractors suits a space, and the one of ours, for images."""

from __future__ import annotations

from difflib import get_close_matches
from math import prod
from typing import Any

import torch.nn.functional as F
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, FlattenExtractor, NatureCNN
from torch import Tensor, nn

from jamba_rl.nn.images import SpatialEncoder

SMALLEST_IMAGE = 36  # what is left of a smaller one does not fill NatureCNN's last convolution


class SpatialExtractor(BaseFeaturesExtractor):
    """The convolutions of DHC-Jamba, and one linear layer that reads their whole map: what is where counts here.

    :param observation_space: images (C, H, W), of any size
    :param features_dim: D
    :param hidden_dim: h of ``jamba_rl.nn.images.SpatialEncoder``
    :param pools: see there
    :raises ValueError: the observations are no images

    >>> import numpy as np
    >>> SpatialExtractor(spaces.Box(0, 255, (1, 24, 24), np.uint8)).linear.in_features
    1152
    """

    def __init__(
        self, observation_space: spaces.Space, features_dim: int = 64, hidden_dim: int = 8, pools: int = 2
    ) -> None:
        if not is_image_space(observation_space, normalized_image=True):  # of any type: bytes come here divided by 255
            raise ValueError(f"SpatialExtractor reads images (channels, height, width), not {observation_space}")
        super().__init__(observation_space, features_dim)
        channels, height, width = observation_space.shape  # type: ignore[misc]
        self.encoder = SpatialEncoder(channels, hidden_dim, pools)
        self.linear = nn.Linear(prod(self.encoder.map_shape(height, width)), features_dim)

    def forward(self, observations: Tensor) -> Tensor:
        """Features (B, D) of images (B, C, H, W)."""
        return F.relu(self.linear(self.encoder.feature_map(observations).flatten(1)))


class CombinedSpatialExtractor(CombinedExtractor):
    """SB3's extractor of dicts, with a ``SpatialExtractor`` for each image.

    :param normalized_image: as of SB3's
    :param spatial: arguments of ``SpatialExtractor``
    """

    def __init__(self, observation_space: spaces.Dict, normalized_image: bool = False, **spatial: Any) -> None:
        BaseFeaturesExtractor.__init__(self, observation_space, features_dim=1)
        self.extractors = nn.ModuleDict()
        self._features_dim = 0
        for key, part in observation_space.spaces.items():
            if is_image_space(part, normalized_image=normalized_image):
                image = SpatialExtractor(part, **spatial)
                self.extractors[key] = image
                self._features_dim += image.features_dim
            else:
                self.extractors[key] = nn.Flatten()
                self._features_dim += get_flattened_obs_dim(part)


IMAGE_ENCODERS: dict[str, tuple[type[BaseFeaturesExtractor], type[BaseFeaturesExtractor]]] = {
    "nature": (NatureCNN, CombinedExtractor),
    "spatial": (SpatialExtractor, CombinedSpatialExtractor),
}
"""What sees images, by name: for an image, and for a dict with images in it."""


def are_real_vectors(space: spaces.Space) -> bool:
    """Whether observations are vectors of real numbers, or dicts of them."""
    if isinstance(space, spaces.Dict):
        return all(map(are_real_vectors, space.values()))
    return isinstance(space, spaces.Box) and len(space.shape) == 1 and space.dtype.kind == "f"


def default_extractor(
    space: spaces.Space, normalize_images: bool = True, image_encoder: str | None = None
) -> type[BaseFeaturesExtractor]:
    """The features extractor for a space: dicts, images, anything else.

    :param space: observations; images with their channels first, as SB3's envs give them to a policy
    :param normalize_images: whether images are bytes, to be divided by 255; else any Box of three dimensions is one
    :param image_encoder: one of `IMAGE_ENCODERS`; None for ``nature`` where all images are large enough for it
    :raises ValueError: there is no such encoder, or an image is too small for it
    """
    if image_encoder is not None and image_encoder not in IMAGE_ENCODERS:
        near = get_close_matches(str(image_encoder), IMAGE_ENCODERS, 1, 0)[0]
        raise ValueError(
            f"image_encoder {image_encoder!r} is unknown; did you mean {near!r}? Known are {', '.join(IMAGE_ENCODERS)}"
        )
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
    images = [part for part in parts if is_image_space(part, normalized_image=not normalize_images)]
    if not images:
        return CombinedExtractor if isinstance(space, spaces.Dict) else FlattenExtractor
    smallest = min(min(image.shape[1:]) for image in images)  # type: ignore[index]
    if image_encoder == "nature" and smallest < SMALLEST_IMAGE:
        raise ValueError(
            f"image_encoder 'nature' needs images of {SMALLEST_IMAGE} x {SMALLEST_IMAGE} pixels at least, "
            f"not {smallest}; 'spatial' takes any"
        )
    chosen = image_encoder or ("nature" if smallest >= SMALLEST_IMAGE else "spatial")
    return IMAGE_ENCODERS[chosen][isinstance(space, spaces.Dict)]
