"""Which of SB3's features extractors suits an observation space."""

from __future__ import annotations

from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, FlattenExtractor, NatureCNN

SMALLEST_IMAGE = 36  # what is left of a smaller one does not fill NatureCNN's last convolution


def are_real_vectors(space: spaces.Space) -> bool:
    """Whether observations are vectors of real numbers, or dicts of them."""
    if isinstance(space, spaces.Dict):
        return all(map(are_real_vectors, space.values()))
    return isinstance(space, spaces.Box) and len(space.shape) == 1 and space.dtype.kind == "f"


def default_extractor(space: spaces.Space, normalize_images: bool = True) -> type[BaseFeaturesExtractor]:
    """SB3's features extractor for a space: dicts, images, anything else.

    :param space: observations; images with their channels first, as SB3's envs give them to a policy
    :param normalize_images: whether images are bytes, to be divided by 255; else any Box of three dimensions is one
    """
    if isinstance(space, spaces.Dict):
        return CombinedExtractor
    if not is_image_space(space, normalized_image=not normalize_images):
        return FlattenExtractor
    assert space.shape is not None
    return NatureCNN if min(space.shape[1:]) >= SMALLEST_IMAGE else FlattenExtractor
