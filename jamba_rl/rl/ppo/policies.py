"""The policies by name; they differ in their backbone only."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule

from jamba_rl.nn import JambaConfig
from jamba_rl.rl.ppo.policy import RecurrentActorCriticPolicy


class JambaPolicy(RecurrentActorCriticPolicy):
    """The hybrid: Mamba latches and integrates, attention recalls exactly."""

    default_network = JambaConfig(pattern="AM")


class MambaPolicy(RecurrentActorCriticPolicy):
    """Mamba alone."""

    default_network = JambaConfig(pattern="M")


class AttentionPolicy(RecurrentActorCriticPolicy):
    """Attention alone, over the last 64 steps."""

    default_network = JambaConfig(pattern="A")


class SSMPolicy(RecurrentActorCriticPolicy):
    """The linear, time-invariant state-space baseline."""

    default_network = JambaConfig(pattern="S", d_hidden=128)


class GruPolicy(RecurrentActorCriticPolicy):
    """One GRU."""

    default_network = JambaConfig(pattern="G")


class MlpPolicy(RecurrentActorCriticPolicy):
    """No memory: the same network with the mixer taken out, and a feed-forward for its parameters."""

    default_network = JambaConfig(pattern="N", ffn_pattern="D")


class LstmPolicy(RecurrentActorCriticPolicy):
    """One LSTM, which also takes the arguments of ``sb3_contrib``'s LSTM policies.

    Its own defaults are those of the other policies here, one encoder of width 64 for actor and
    critic; contrib's are two LSTMs of 256 units.

    :param lstm_hidden_size: units per layer, and width of what the heads read of it
    :param n_lstm_layers: number of layers
    :param shared_lstm: one LSTM for actor and critic; trained by both, where contrib's learns from the actor alone
    :param enable_critic_lstm: an LSTM of its own for the critic; without it and without ``shared_lstm``
        the critic has no memory
    :param lstm_kwargs: ``dropout``, of the output of each layer
    :raises ValueError: for what has no counterpart here, or contradicts another argument
    """

    default_network = JambaConfig(pattern="L")

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        lstm_hidden_size: int | None = None,
        n_lstm_layers: int | None = None,
        shared_lstm: bool | None = None,
        enable_critic_lstm: bool | None = None,
        lstm_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        own = {
            "network": _lstm_network(lstm_hidden_size, n_lstm_layers, lstm_kwargs or {}),
            **_lstm_sharing(shared_lstm, enable_critic_lstm),
        }
        for name, value in own.items():
            if value is not None and kwargs.setdefault(name, value) != value:
                raise ValueError(f"{name}={kwargs[name]!r} contradicts the arguments in sb3_contrib's form ({value!r})")
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)


def _lstm_network(hidden_size: int | None, layers: int | None, lstm_kwargs: dict[str, Any]) -> JambaConfig | None:
    if foreign := set(lstm_kwargs) - {"dropout"}:
        raise ValueError(f"lstm_kwargs can hold 'dropout' alone here, not {', '.join(map(repr, sorted(foreign)))}")
    if hidden_size is None and layers is None and not lstm_kwargs:
        return None
    size = LstmPolicy.default_network.d_model if hidden_size is None else hidden_size
    return JambaConfig(pattern="L", num_layers=layers or 1, d_model=size, d_hidden=size, **lstm_kwargs)


def _lstm_sharing(shared: bool | None, critic: bool | None) -> dict[str, bool]:
    if shared and critic:
        raise ValueError("shared_lstm and enable_critic_lstm exclude each other: one LSTM, or two")
    if shared is None and critic is None:
        return {}
    if shared:
        return {"shared_encoder": True}
    return {"shared_encoder": False, "critic_memory": critic is not False}


POLICIES: dict[str, type[RecurrentActorCriticPolicy]] = {
    "JambaPolicy": JambaPolicy,
    "MambaPolicy": MambaPolicy,
    "AttentionPolicy": AttentionPolicy,
    "SSMPolicy": SSMPolicy,
    "LstmPolicy": LstmPolicy,
    "GruPolicy": GruPolicy,
    "MlpPolicy": MlpPolicy,
    # the names of SB3 and sb3_contrib; every policy picks its features extractor from the observations
    "CnnPolicy": JambaPolicy,
    "MultiInputPolicy": JambaPolicy,
    "MlpLstmPolicy": LstmPolicy,
    "CnnLstmPolicy": LstmPolicy,
    "MultiInputLstmPolicy": LstmPolicy,
}
"""Every policy that ``RecurrentPPO`` knows by name."""
