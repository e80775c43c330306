"""Whole models on the backbone of ``jamba_rl.nn``: only their heads, and their weights in other people's formats."""

from jamba_rl.models.language import JambaForCausalLM, LanguageOutput

__all__ = ["JambaForCausalLM", "LanguageOutput"]
