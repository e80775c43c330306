"""What an actor or its critics remember by."""

from __future__ import annotations

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from jamba_rl.nn import State
from jamba_rl.rl.encoder import Encoded, Encoder
from jamba_rl.rl.sequences import Sequences


class Memory(BaseModel):
    """A features extractor and an encoder: from observations and previous actions to latents.

    :param extractor: of features, for one observation
    :param encoder: of features and previous actions
    :param action_dim: width of the previous action that it reads (A), 0 if none
    :param normalize_images: as of SB3's policies
    """

    features_extractor: BaseFeaturesExtractor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        extractor: BaseFeaturesExtractor,
        encoder: Encoder,
        action_dim: int,
        normalize_images: bool,
    ) -> None:
        super().__init__(
            observation_space, action_space, features_extractor=extractor, normalize_images=normalize_images
        )
        self.encoder, self.action_dim = encoder, action_dim

    def forward(self, windows: Sequences, state: State, burn_in: int = 0) -> Encoded:
        """Encode B windows of T steps; latents (B, T, L).

        :param windows: of context + burn_in + T frames: those of ``encoder.context`` are looked back on
        :param state: of the backbone before the burn-in
        :param burn_in: steps that only fill the memory, without gradient
        """
        features, previous, resets = self._features(windows), self._seen(windows.previous), windows.resets
        c = self.encoder.context
        if c:
            state = (*self.encoder.look_back(features[:, :c], resets[:, :c]), *state)
        if burn_in:
            b = slice(c, c + burn_in)
            with torch.no_grad():
                state = self.encoder(features[:, b], previous[:, b], state, resets[:, b]).state
        c += burn_in
        return self.encoder(features[:, c:], previous[:, c:], state, resets[:, c:])

    def step(self, obs: PyTorchObs, previous: Tensor, state: State, starts: Tensor | None) -> Encoded:
        """Encode one step of n envs; latents (n, L)."""
        return self.encoder.step(self.extract_features(obs, self.features_extractor), previous, state, starts)

    @torch.no_grad()
    def observe(self, windows: Sequences) -> None:
        """Learn from windows how much observations usually change, if that is seen."""
        if self.encoder.derives:
            state = self.initial_state(len(windows.resets))
            self.encoder.observe(self._features(windows), state, windows.resets)

    def initial_state(self, batch: int) -> State:
        """Empty memory of ``batch`` sequences."""
        return self.encoder.initial_state(batch)

    def _features(self, windows: Sequences) -> Tensor:
        features = self.extract_features(windows.observations, self.features_extractor)
        return features.view(*windows.resets.shape, -1)

    def _seen(self, previous: Tensor) -> Tensor:
        return previous[..., : self.action_dim]
