"""Options of a policy: checked, and filled in where nothing was said."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy

from jamba_rl.nn import JambaConfig
from jamba_rl.nn.config import check_fields
from jamba_rl.rl.adam import Adam
from jamba_rl.rl.extractors import default_extractor


def as_network(given: object, default: JambaConfig) -> JambaConfig:
    """The backbone of a policy, as a user gave it.

    :param given: a ``JambaConfig``, a mapping of its fields, or None for ``default``
    :raises ValueError: if it is something else, or a field is unknown; names the nearest
    """
    if given is None:
        return default
    if isinstance(given, JambaConfig):
        return given
    if not isinstance(given, Mapping):
        raise ValueError(
            f"network must be a JambaConfig or a dict of its fields, such as {{'pattern': 'MA'}}, was {given!r}"
        )
    check_fields(given)
    return JambaConfig(**given)


def policy_named(name: str, known: Mapping[str, type[BasePolicy]]) -> type[BasePolicy]:
    """Find a policy by its name.

    :raises ValueError: names the nearest that there is
    """
    if name not in known:
        near = get_close_matches(name, known, 1, 0)[0]
        raise ValueError(f"Policy {name} unknown; did you mean {near}? Known are {', '.join(known)}")
    return known[name]


def check_options(shared_encoder: bool, critic_memory: bool, ratio: float, kwargs: dict[str, Any]) -> None:
    """Raise ValueError if options of a policy do not fit together.

    :param ratio: learning rate of the encoder in units of everything else's
    :param kwargs: arguments for SB3's policy
    """
    if shared_encoder and not kwargs.get("share_features_extractor", True):
        raise ValueError("share_features_extractor=False needs shared_encoder=False: one encoder reads one features")
    if shared_encoder and not critic_memory:
        raise ValueError("critic_memory=False needs shared_encoder=False")
    check_ratio(ratio)


def check_frames(frames: int) -> None:
    """Raise ValueError if so many frames cannot be seen at once."""
    if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
        raise ValueError(f"frames must be a whole number above 0, was {frames!r}")


def check_ratio(ratio: float) -> None:
    """Raise ValueError if a learning rate cannot be this many times another."""
    if not 0 < ratio < float("inf"):
        raise ValueError(f"encoder_learning_rate_ratio must be above 0, was {ratio!r}")


def choose_extractor(observation_space: spaces.Space, image_encoder: str | None, kwargs: dict[str, Any]) -> None:
    """Set the features extractor, which SB3 would leave to the name of the policy, in the arguments for SB3's policy.

    :param image_encoder: see ``jamba_rl.rl.extractors.default_extractor``
    :raises ValueError: it contradicts an extractor that is given
    """
    if kwargs.get("features_extractor_class") is None:
        normalize = kwargs.get("normalize_images", True)
        kwargs["features_extractor_class"] = default_extractor(observation_space, normalize, image_encoder)
    elif image_encoder is not None:
        raise ValueError("give image_encoder or features_extractor_class, not both: they say the same")


def fill_defaults(kwargs: dict[str, Any]) -> None:
    """Set what SB3 would choose otherwise in the arguments for SB3's policy."""
    if kwargs.get("net_arch") is None:
        kwargs["net_arch"] = {"pi": [64, 64], "vf": [64, 64]}
    if "optimizer_class" not in kwargs:
        given = kwargs.get("optimizer_kwargs")
        kwargs["optimizer_kwargs"] = {"eps": 1e-5} if given is None else given  # SB3's default for PPO
        if kwargs["optimizer_kwargs"].keys() <= {"betas", "eps", "weight_decay"}:
            kwargs["optimizer_class"] = Adam
