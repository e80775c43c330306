"""Whole models on the backbone of ``jamba_rl.nn``: only their heads, and their weights in other people's formats."""

from jamba_rl.models.control import JambaRLActorCritic, JambaRLPolicy, JambaRLValue
from jamba_rl.models.dhc_ssm import DHCSSMConfig, DHCSSMModel
from jamba_rl.models.language import JambaForCausalLM, LanguageLoss, LanguageOutput
from jamba_rl.models.layers import layer_table
from jamba_rl.models.nexus import JambaModel
from jamba_rl.models.vision import DHCJambaConfig, DHCJambaModel
from jamba_rl.nn.images import SpatialEncoder

__all__ = [
    "DHCJambaConfig",
    "DHCJambaModel",
    "DHCSSMConfig",
    "DHCSSMModel",
    "JambaForCausalLM",
    "JambaModel",
    "JambaRLActorCritic",
    "JambaRLPolicy",
    "JambaRLValue",
    "LanguageLoss",
    "LanguageOutput",
    "SpatialEncoder",
    "layer_table",
]
