"""DHC-Jamba: a convolutional network makes tokens of images, the backbone mixes them, a head names the class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from jamba_rl.models.classifier import ImageClassifier
from jamba_rl.models.dhc import WORDS, backbone_config, refuse_width
from jamba_rl.nn import Jamba, JambaConfig, State
from jamba_rl.nn.check import check_count, check_type
from jamba_rl.nn.images import SpatialEncoder

SIZES: dict[str, dict[str, Any]] = {  # of DHC-Jamba-Enhanced's benchmarks
    "small": {"hidden_dim": 32, "num_layers": 4, "num_heads": 4, "num_experts": 4},
    "medium": {"hidden_dim": 64, "num_layers": 8, "num_heads": 8, "num_experts": 8},
    "large": {"hidden_dim": 128, "num_layers": 12, "num_heads": 8, "num_experts": 16},
}
CLAIMED = {"small": 800_000, "medium": 2_000_000, "large": 8_500_000}
"""Parameters of these that its documents name."""


@dataclass(frozen=True)
class DHCJambaConfig:
    """A DHC-Jamba; the first fields have the names and defaults of DHC-Jamba-Enhanced.

    :param input_channels: of the images
    :param hidden_dim: h; the backbone is 4h wide
    :param output_dim: classes
    :param num_layers: blocks of the backbone
    :param d_state: see ``JambaConfig``, as ``d_conv``, ``num_heads``, ``num_experts``, ``dropout``
    :param mamba_ratio: Mamba blocks to every one of attention, which is the last of them
    :param moe_frequency: every so manieth feed-forward is a mixture of experts; 0 for none
    :param num_experts_per_token: of ``num_experts``
    :param tokens: what the backbone sees as a sequence: ``patches``, ``one`` or ``frames``, see ``ImageClassifier``
    :param pools: see ``SpatialEncoder``
    :param image_size: height and width, others are refused; None for any
    :param head_dropout: inside of the classifier
    :param backbone: further fields of ``JambaConfig``, or of the source's (``use_rope``); they go before the above
    :raises ValueError: sizes do not fit each other

    >>> DHCJambaConfig(hidden_dim=8, num_layers=4, mamba_ratio=3).jamba_config.pattern
    'MMMA'
    """

    input_channels: int = 3
    hidden_dim: int = 64
    output_dim: int = 10
    num_layers: int = 8
    d_state: int = 16
    d_conv: int = 4
    num_heads: int = 8
    mamba_ratio: int = 7
    moe_frequency: int = 2
    num_experts: int = 8
    num_experts_per_token: int = 2
    dropout: float = 0.1
    tokens: str = "patches"
    pools: int = 2
    image_size: tuple[int, int] | None = None
    head_dropout: float = 0.3
    backbone: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_count("hidden_dim", self.hidden_dim)
        check_type("backbone", self.backbone, Mapping)
        refuse_width(self.backbone, "hidden_dim")
        _ = self.jamba_config  # which says what does not fit

    @classmethod
    def preset(cls, name: str, **fields: Any) -> DHCJambaConfig:
        """Return ``small``, ``medium`` or ``large``, with some fields set otherwise."""
        if name not in SIZES:
            raise ValueError(f"size must be one of {', '.join(SIZES)}, was {name!r}")
        return cls(**SIZES[name] | fields)

    @property
    def jamba_config(self) -> JambaConfig:
        """The backbone's configuration."""
        words = {name: getattr(self, name) for name in WORDS if hasattr(self, name)}
        return backbone_config(4 * self.hidden_dim, **words | dict(self.backbone))


class DHCJambaModel(ImageClassifier):
    """Images to classes; how, says the configuration.

    >>> import torch
    >>> model = DHCJambaModel(DHCJambaConfig(hidden_dim=8, num_layers=4, mamba_ratio=3, num_experts=2))
    >>> model(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    architecture = "DHC-Jamba"
    complexity = "O(n) of Mamba, O(n^2) of attention, n tokens"

    def __init__(self, config: DHCJambaConfig | None = None) -> None:
        config = DHCJambaConfig() if config is None else config
        check_type("config", config, DHCJambaConfig)
        encoder = SpatialEncoder(config.input_channels, config.hidden_dim, config.pools)
        super().__init__(encoder, config.output_dim, config.tokens, config.image_size, config.head_dropout)
        self.config = config
        self.jamba_model = Jamba(config.jamba_config)

    def mix(self, tokens: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        out = self.jamba_model(tokens)
        return out.hidden, out.routing.loss()

    def step(self, x: Tensor, state: State | None = None, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """Classify a film as it comes, one frame (B, C, H, W) at a time.

        :param state: of the frames before; None at the first
        :param reset: (B,) bool, where another film begins
        :return: logits (B, classes) of the film up to here, and the next state
        :raises ValueError: tokens are not frames
        """
        if self.tokens != "frames":
            raise ValueError(f"one frame at a time goes with tokens 'frames', not {self.tokens!r}")
        out = self.jamba_model.step(self._tokens(x[:, None])[:, 0], state, reset)
        return self.classifier(out.hidden), out.state
