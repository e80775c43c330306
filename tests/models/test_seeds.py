"""What the seeds' documents show runs with only the import changed."""

import gymnasium as gym
import torch
import torch.nn.functional as F


def test_dhc_jamba_computer_vision():
    from jamba_rl.models import DHCJambaConfig, DHCJambaModel

    images = torch.randn(2, 3, 32, 32)
    config = DHCJambaConfig(
        input_channels=3,
        hidden_dim=64,
        output_dim=10,
        num_layers=8,
        mamba_ratio=7,
        moe_frequency=2,
        num_experts=8,
    )

    model = DHCJambaModel(config)
    output = model(images)
    assert output.shape == (2, 10)


def test_dhc_jamba_reinforcement_learning():
    from jamba_rl.models import JambaRLPolicy, JambaRLValue

    env = gym.make("Pendulum-v1")
    obs_dim = env.observation_space.shape[0]
    action_dim = env.action_space.shape[0]

    policy = JambaRLPolicy(obs_dim, action_dim, hidden_dim=128, num_layers=4)
    value_fn = JambaRLValue(obs_dim, hidden_dim=128, num_layers=4)

    obs = torch.as_tensor(env.reset(seed=0)[0])[None]
    action, state = policy(obs)
    value, _ = value_fn(obs)
    env.step(policy.act(obs, state).action[0].numpy())
    assert action.shape == value.shape == (1, 1)


def test_dhc_jamba_configurations_of_the_architecture_page():
    from jamba_rl.models.dhc import JambaConfig
    from jamba_rl.nn import Jamba

    vision = JambaConfig(
        d_model=64,
        num_layers=8,
        mamba_ratio=7,  # More Mamba for efficiency
        moe_frequency=2,
        use_rope=True,
        use_swiglu=True,
    )
    rl = JambaConfig(
        d_model=128,
        num_layers=4,
        mamba_ratio=3,  # More attention for dependencies
        moe_frequency=0,  # Disable MoE for stability
        use_rope=True,
        use_swiglu=True,
    )
    assert (vision.pattern, vision.ffn_pattern) == ("MMMMMMMA", "DEDEDEDE")  # the layers that the page lists
    assert (rl.pattern, rl.ffn_pattern) == ("MMMA", "DDDD")
    for config in (vision, rl):
        assert (config.position, config.ffn_act, config.expert_act) == ("rope", "swiglu", "swiglu")
        assert Jamba(config)(torch.randn(1, 3, config.d_model)).hidden.shape == (1, 3, config.d_model)
    other = JambaConfig(use_rope=False, use_swiglu=False)
    assert (other.position, other.ffn_act, other.d_model, other.num_layers) == ("none", "gelu", 256, 8)
    full = JambaConfig(64, 8, 16, 4, 8, 2, 3, 2, 8, 2, 0.1, True, True, True, 512)  # in the order of the source
    assert (full.num_kv_heads, full.pattern, full.gradient_checkpointing) == (2, "MMMAMMMA", True)
    assert full.max_positions == 512
    # and under names of our own
    assert nn_preset("dhc-vision") == vision
    assert nn_preset("dhc-rl").pattern == rl.pattern


def nn_preset(name):
    from jamba_rl.nn import JambaConfig

    return JambaConfig.preset(name)


def test_jamba_language_model_by_its_parameters():
    from jamba_rl.models import JambaForCausalLM

    model = JambaForCausalLM.from_layers(
        vocab_size=100,
        d_model=64,
        num_mamba_layers=3,
        num_transformer_layers=1,
        nhead=4,
        dim_feedforward=128,
        max_seq_length=64,
        dropout=0.1,
    )
    assert model(torch.randint(100, (2, 16))).logits.shape == (2, 16, 100)


def test_nexus_typical_configuration_at_its_full_size():
    from jamba_rl.models import JambaModel

    with torch.device("meta"):  # 55 billion parameters
        model = JambaModel(
            d_model=4096,
            num_layers=32,
            num_heads=32,
            num_kv_heads=8,
            mamba_d_state=16,
            num_experts=8,
            top_k=2,
            layer_pattern="AMMAMM",
            moe_every_n=2,
        )
    assert model.config.pattern == ("AMM" * 11)[:32]
    assert [layer.feed_forward for layer in model.get_layer_info().blocks[:4]] == ["dense", "experts"] * 2


def test_nexus_training_with_the_auxiliary_loss_and_separate_states():
    from jamba_rl.models import JambaModel

    num_layers = 4
    model = JambaModel(64, num_layers, num_heads=4, num_kv_heads=2, vocab_size=50, layer_pattern="MMMAMMMA")
    input_ids = torch.randint(50, (2, 10))
    layer_states = [{"state": None, "kv_cache": None} for _ in range(num_layers)]

    logits, info = model(input_ids, layer_states=layer_states)
    language_model_loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), input_ids[:, 1:].flatten())
    aux_loss = info["total_aux_loss"]
    total_loss = language_model_loss + 0.01 * aux_loss
    total_loss.backward()

    router_decisions = info["router_decisions"]
    expert_counts = router_decisions.bincount()
    assert expert_counts.sum() == 2 * 2 * 10 * 2
    assert info["layer_pattern"] == "MMMA"
    assert [layer["kv_cache"] is None for layer in info["layer_states"]] == [True, True, True, False]


def test_ratios_of_nexus_patterns_are_what_they_are():
    """Its page calls these 1:2, 1:3 and 1:4; all three are 1:2."""
    from jamba_rl.models import JambaModel

    for pattern in ("AMMAMM", "AMMAMMAMM", "AMMAMMAMMAMM"):
        with torch.device("meta"):
            model = JambaModel(64, len(pattern), num_heads=4, num_kv_heads=2, layer_pattern=pattern)
        assert model.config.pattern.count("M") == 2 * model.config.pattern.count("A")
