"""What all image classifiers here share: images to tokens, something that mixes tokens, a head; steps of training.

Letters of the shape suffixes: B batch, T tokens, D features.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.models.generation import evaluating
from jamba_rl.nn.accounting import convolution_flops
from jamba_rl.nn.check import check_count
from jamba_rl.nn.images import SpatialEncoder, to_images

TOKENS = ("patches", "one", "frames")
USUAL_SIZE = (32, 32)  # CIFAR-10's, where any may come


class ImageClassifier(nn.Module, ABC):
    """Spatial encoder, mixer over tokens, classifier.

    :param encoder: images to features
    :param output_dim: classes
    :param tokens: ``patches`` (a token per place of the feature map, row by row; the head reads their mean), ``one`` (a
        single token, the mean of the map) or ``frames`` (a token per image of a film (B, T, C, H, W); the head reads
        the last)
    :param image_size: height and width; None for any
    :param dropout: inside of the head
    :raises ValueError: an argument is of another kind
    """

    architecture: str
    complexity: str

    def __init__(
        self, encoder: SpatialEncoder, output_dim: int, tokens: str, image_size: tuple[int, int] | None, dropout: float
    ) -> None:
        super().__init__()
        if tokens not in TOKENS:
            raise ValueError(f"tokens must be one of {', '.join(TOKENS)}, was {tokens!r}")
        check_count("output_dim", output_dim)
        if image_size is not None:
            check_size(image_size)
        self.spatial_encoder = encoder
        self.tokens, self.image_size, self.output_dim = tokens, image_size, output_dim
        width = encoder.features_dim
        self.classifier = nn.Sequential(
            nn.Linear(width, width // 2), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width // 2, output_dim)
        )

    @abstractmethod
    def mix(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Mix (B, T, D) over time, and return it with a loss of the mixer's own, ()."""

    def forward(self, x: Tensor, return_features: bool = False) -> Any:
        """Classify.

        :param x: images as of ``jamba_rl.nn.images.to_images``
        :return: logits (B, classes); with ``return_features`` also a dict: ``spatial`` (B, D), the mean of the tokens,
            ``temporal`` (B, D), what the head reads, ``logits``, and ``sequence`` (B, T, D), all mixed tokens
        :raises ValueError: images of another size or range
        """
        features, _ = self._run(x)
        return (features["logits"], features) if return_features else features["logits"]

    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy alone; ``loss`` has what routers add."""
        self._check_targets(logits, targets)
        return F.cross_entropy(logits, targets.long())

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """What to train on: cross-entropy and the losses of routers."""
        features, own = self._run(x)
        return self.compute_loss(features["logits"], targets) + own

    def train_step(self, batch: tuple[Tensor, Tensor], optimizer: torch.optim.Optimizer) -> dict[str, float]:
        """Learn from images and targets, gradients clipped to norm 1; return ``loss`` and ``accuracy``."""
        x, targets = batch
        self.train()
        features, own = self._run(x)
        loss = self.compute_loss(features["logits"], targets) + own
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        optimizer.step()
        return {"loss": loss.item(), "accuracy": _accuracy(features["logits"], targets)}

    @torch.no_grad()
    def evaluate_step(self, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
        """Return ``loss`` (cross-entropy) and ``accuracy``, without dropout."""
        x, targets = batch
        with evaluating(self):
            logits = self(x)
        return {"loss": self.compute_loss(logits, targets).item(), "accuracy": _accuracy(logits, targets)}

    @property
    def num_parameters(self) -> int:
        """Everything learned."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def convolution_flops(self) -> int:
        """Operations of the spatial encoder per token, forward and backward; of images of 32x32 if any may come."""
        x = torch.zeros(1, self.spatial_encoder.input_channels, *(self.image_size or USUAL_SIZE), device=self.device)
        tokens = self.spatial_encoder.map_shape(*x.shape[2:])[1:] if self.tokens == "patches" else ()
        return convolution_flops(self.spatial_encoder, lambda: self.spatial_encoder(x)) // math.prod(tokens)

    def get_diagnostics(self) -> dict[str, Any]:
        """What it is made of, in words and numbers."""
        parts = {name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()}
        return {
            "architecture": self.architecture,
            "complexity": self.complexity,
            "tokens": self.tokens,
            "num_parameters": self.num_parameters,
            "device": str(self.device),
            "layers": {name: {"parameters": count} for name, count in parts.items()},
        }

    def _tokens(self, x: Tensor) -> Tensor:
        film = self.tokens == "frames"
        x = to_images(x, self.spatial_encoder.input_channels, self.image_size, 5 if film else 4)
        if film:
            return self.spatial_encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return self.spatial_encoder.patches(x) if self.tokens == "patches" else self.spatial_encoder(x)[:, None]

    def _run(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        tokens_BTD = self._tokens(x)
        mixed_BTD, own = self.mix(tokens_BTD)
        temporal_BD = mixed_BTD[:, -1] if self.tokens == "frames" else mixed_BTD.mean(1)
        logits = self.classifier(temporal_BD)
        found = {"spatial": tokens_BTD.mean(1), "temporal": temporal_BD, "logits": logits, "sequence": mixed_BTD}
        return found, own

    def _check_targets(self, logits: Tensor, targets: Tensor) -> None:
        if logits.dim() != 2 or logits.shape[1] != self.output_dim or not len(logits):
            raise ValueError(f"logits must be (batch, {self.output_dim}) and not empty; were {tuple(logits.shape)}")
        if not isinstance(targets, Tensor) or targets.shape != (len(logits),) or targets.is_floating_point():
            given = f"{targets.dtype} {tuple(targets.shape)}" if isinstance(targets, Tensor) else type(targets).__name__
            raise ValueError(f"targets must be a tensor of whole numbers ({len(logits)},); was {given}")
        if int(targets.min()) < 0 or int(targets.max()) >= self.output_dim:
            found = f"from {int(targets.min())} to {int(targets.max())}"
            raise ValueError(f"targets must be from 0 to {self.output_dim - 1}; were {found}")


def check_size(image_size: object) -> None:
    """Raise ValueError unless it is a height and a width."""
    if not isinstance(image_size, tuple | list) or len(image_size) != 2:
        raise ValueError(f"image_size must be (height, width), or None for any; was {image_size!r:.80}")
    for name, value in zip(("height", "width"), image_size, strict=True):
        check_count(f"{name} of image_size", value)


def _accuracy(logits: Tensor, targets: Tensor) -> float:
    return (logits.argmax(1) == targets).float().mean().item()
