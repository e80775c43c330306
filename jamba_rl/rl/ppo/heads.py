"""The layers between what is remembered and actions and values."""

from __future__ import annotations

import torch
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import Tensor, nn

from jamba_rl.kernels.layers import hooked, only_multiplies
from jamba_rl.kernels.library import kernels_apply
from jamba_rl.kernels.mlp import kernel_tanh_layers


class Heads(MlpExtractor):
    """SB3's ``MlpExtractor``, a stack of layers each for actor and critic, with linear and tanh fused on the CPU."""

    def forward_actor(self, features: Tensor) -> Tensor:
        """(M, F) to (M, latent_dim_pi)."""
        return _run(self.policy_net, features)

    def forward_critic(self, features: Tensor) -> Tensor:
        """(M, F) to (M, latent_dim_vf)."""
        return _run(self.value_net, features)


def _run(net: nn.Sequential, x: Tensor) -> Tensor:
    if not (torch.is_grad_enabled() and _is_matrix(x) and kernels_apply(x) and _is_plain(net)):
        y: Tensor = net(x)
        return y
    parameters = [
        parameter for layer in net if isinstance(layer, nn.Linear) for parameter in (layer.weight, layer.bias)
    ]
    return kernel_tanh_layers(x, *parameters) if parameters else x


def _is_matrix(x: Tensor) -> bool:
    return x.dim() == 2 and x.dtype is torch.float32


def _is_plain(net: nn.Sequential) -> bool:
    """Whether these are linear layers with a bias, each with a tanh, that nobody has hooked."""
    if hooked(net) or torch.is_autocast_enabled("cpu"):
        return False
    layers = list(net)
    products, tanhs = layers[::2], layers[1::2]
    return (
        len(products) == len(tanhs)
        and all(only_multiplies(layer) and layer.bias is not None for layer in products)
        and all(type(layer) is nn.Tanh and not hooked(layer) for layer in tanhs)
    )
