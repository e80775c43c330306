"""Images to classes, and where images come from."""

import math
import pickle

import numpy as np
import pytest
import torch

from jamba_rl.models import DHCJambaConfig, DHCJambaModel, DHCSSMConfig, DHCSSMModel, SpatialEncoder
from jamba_rl.models.datasets import load_cifar10, load_digits
from jamba_rl.models.dhc_ssm import TemporalSSM
from jamba_rl.nn import parameter_groups

SMALL = {"hidden_dim": 4, "num_layers": 4, "num_heads": 2, "mamba_ratio": 3, "num_experts": 2, "output_dim": 3}


def jamba(**fields) -> DHCJambaModel:
    torch.manual_seed(0)
    return DHCJambaModel(DHCJambaConfig(**SMALL | fields))


def ssm(**fields) -> DHCSSMModel:
    torch.manual_seed(0)
    return DHCSSMModel(DHCSSMConfig(hidden_dim=4, state_dim=8, output_dim=3, **fields))


@pytest.mark.parametrize("make", [jamba, ssm])
@pytest.mark.parametrize(("tokens", "count"), [("one", 1), ("patches", 16), ("frames", 5)])
def test_images_become_as_many_tokens_as_asked_for(make, tokens, count):
    model = make(tokens=tokens)
    x = torch.rand(2, 5, 3, 16, 16) if tokens == "frames" else torch.rand(2, 3, 16, 16)
    logits, features = model(x, return_features=True)
    assert logits.shape == model(x).shape == (2, 3)
    assert features["sequence"].shape == (2, count, 16)
    assert features["spatial"].shape == features["temporal"].shape == (2, 16)
    assert features["logits"] is logits


@pytest.mark.parametrize("make", [jamba, ssm])
@pytest.mark.parametrize("tokens", ["one", "patches", "frames"])
def test_it_learns_what_it_is_shown_and_every_parameter_with_it(make, tokens):
    model = make(tokens=tokens, head_dropout=0.0)
    generator = torch.Generator().manual_seed(0)
    x = 0.2 * torch.rand(12, *([3] if tokens == "frames" else []), 3, 12, 12, generator=generator)
    y = torch.arange(12) % 3
    for image, colour in zip(x, y, strict=True):
        image[..., colour, :, :] += 0.8
    optimizer = torch.optim.Adam(model.parameters(), 6e-3)
    first = model.train_step((x, y), optimizer)
    # One token has no order: nothing to attend to, no state to carry.
    idle = {"weight_hh_l0", "A_log", "qkv_proj.weight"} if tokens == "one" else set()
    for name, parameter in model.named_parameters():
        touched = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert touched or any(name.endswith(part) for part in idle), name
    for _ in range(150):
        last = model.train_step((x, y), optimizer)
    assert set(first) == {"loss", "accuracy"}
    assert last["loss"] < 0.7 * first["loss"]
    assert model.evaluate_step((x, y))["accuracy"] > 0.9


def test_evaluation_is_without_dropout_and_leaves_the_mode_as_it_was():
    model, batch = jamba(dropout=0.5), (torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0]))
    assert model.evaluate_step(batch) == model.evaluate_step(batch)
    assert model.training


def test_training_has_the_losses_of_routers_and_evaluation_has_not():
    model, (x, y) = jamba(), (torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0]))
    model.eval()
    own = model.jamba_model(model.spatial_encoder.patches(x)).routing.loss()
    assert own > 0
    torch.testing.assert_close(model.loss(x, y), model.compute_loss(model(x), y) + own)
    assert model.evaluate_step((x, y))["loss"] == pytest.approx(model.compute_loss(model(x), y).item())


def test_order_of_patches_and_of_frames_matters():
    """What the one-token form cannot know."""
    model = jamba(tokens="frames").eval()
    film = torch.rand(1, 6, 3, 8, 8)
    assert not torch.allclose(model(film), model(film.flip(1)), atol=1e-6)


@torch.no_grad()
def test_a_film_frame_by_frame_is_the_film():
    model = jamba(tokens="frames").eval()
    film, state = torch.rand(2, 6, 3, 8, 8), None
    for t in range(6):
        logits, state = model.step(film[:, t], state)
        torch.testing.assert_close(logits, model(film[:, : t + 1]), rtol=1e-4, atol=1e-5)
    again, _ = model.step(film[:, 0], state, torch.tensor([True, True]))
    torch.testing.assert_close(again, model(film[:, :1]), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="'frames', not 'patches'"):
        jamba().step(film[:, 0])


def test_bytes_are_divided_by_255():
    model = jamba().eval()
    x = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(model(x), model(x / 255))


@pytest.mark.parametrize("make", [jamba, ssm])
@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("tokens", ["one", "patches", "frames"])
def test_floats_of_any_width_are_images(make, kind, tokens):
    model = make(tokens=tokens).eval()
    x = torch.rand(2, *([4] if tokens == "frames" else []), 3, 8, 8).to(kind)
    torch.testing.assert_close(model(x), model(x.float()))


def test_construction_leaves_mambas_time_steps_alone():
    """The seed's model initialised every linear layer again, and with it the memory's length."""
    for block in jamba().jamba_model.blocks[:3]:
        dt = torch.nn.functional.softplus(block.mixer.dt_proj.bias)
        assert 0.9e-3 <= dt.min() <= dt.max() <= 0.11


@pytest.mark.parametrize(
    ("size", "claimed", "total", "active", "pattern"),
    [
        ("small", 0.8e6, 2_536_330, 1_749_898, "MMMM"),
        ("medium", 2.0e6, 32_055_562, 13_181_194, "MMMMMMMA"),
        ("large", 8.5e6, 342_229_514, 77_988_362, "MMMMMMMAMMMM"),
    ],
)
def test_sizes_are_those_of_the_seeds_code_and_not_of_its_documents(size, claimed, total, active, pattern):
    from jamba_rl.nn.accounting import count_parameters

    with torch.device("meta"):
        model = DHCJambaModel(DHCJambaConfig.preset(size))
    counted = count_parameters(model)
    assert (counted.total, counted.active) == (total, active)
    assert model.num_parameters > 3 * claimed
    assert model.config.jamba_config.pattern == pattern


def test_the_baseline_is_as_large_as_it_was():
    assert DHCSSMModel().num_parameters == 507_402


def test_the_simple_state_space_model_goes_on_from_its_state():
    torch.manual_seed(0)
    layer, x = TemporalSSM(6, 4), torch.randn(2, 7, 6)
    whole, end = layer(x)
    first, state = layer(x[:, :3])
    second, last = layer(x[:, 3:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(last, end)


def test_weight_decay_reaches_all_its_matrices():
    decayed, others = parameter_groups(TemporalSSM(6, 4), 0.1)
    assert (len(decayed["params"]), len(others["params"])) == (4, 0)


def test_the_simple_state_space_model_is_its_formula():
    layer, x = TemporalSSM(6, 4), torch.randn(2, 7, 6)
    h, ys = torch.zeros(2, 4), []
    for u in x.unbind(1):
        h = torch.tanh(h @ layer.recurrence.weight_hh_l0.T + u @ layer.recurrence.weight_ih_l0.T)
        ys.append(layer.C(h) + layer.D(u))
    torch.testing.assert_close(layer(x)[0], torch.stack(ys, 1))


def test_all_fields_of_the_backbone_can_be_set():
    config = DHCJambaConfig(**SMALL, backbone={"num_kv_heads": 1, "position": "none", "expert_act": "gelu"})
    assert config.jamba_config.num_kv_heads == 1
    assert config.jamba_config.position == "none"
    with pytest.raises(ValueError, match="num_kv_head' is unknown; did you mean 'num_kv_heads'"):
        DHCJambaConfig(backbone={"num_kv_head": 1})


def test_the_backbone_understands_the_words_of_the_source_too():
    config = DHCJambaConfig(**SMALL, backbone={"use_rope": False, "use_swiglu": False, "num_experts": 3}).jamba_config
    assert (config.position, config.ffn_act, config.num_experts) == ("none", "gelu", 3)
    assert DHCJambaConfig(backbone={"use_gradient_checkpointing": True}).jamba_config.gradient_checkpointing


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"num_heads": 3}, "num_heads 3 does not divide d_model 256"),
        ({"backbone": {"d_model": 32}}, "d_model .* hidden_dim"),
        ({"backbone": 3}, "backbone must be a Mapping, was int"),
        ({"hidden_dim": "64"}, "hidden_dim"),
        ({"mamba_ratio": -1}, "mamba_ratio"),
    ],
)
def test_a_configuration_that_fits_no_backbone_is_refused_before_there_is_a_model(fields, words):
    with pytest.raises(ValueError, match=words):
        DHCJambaConfig(**fields)


def test_no_experts_and_no_mamba_can_be_asked_for():
    assert DHCJambaConfig(moe_frequency=0).jamba_config.ffn_pattern == "D" * 8
    assert DHCJambaConfig(mamba_ratio=0, num_layers=2).jamba_config.pattern == "AA"


def test_features_for_agents_are_independent_of_the_size_of_images():
    encoder = SpatialEncoder(1, 4)
    for size in (3, 8, 33):
        assert encoder(torch.rand(2, 1, size, size)).shape == (2, encoder.features_dim)


def test_diagnostics_add_up():
    for model in (jamba(), ssm()):
        found = model.get_diagnostics()
        assert sum(part["parameters"] for part in found["layers"].values()) == found["num_parameters"]
        assert found["device"] == "cpu"


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.rand(2, 1, 8, 8), ["(batch, 3, 8, 8)", "(2, 1, 8, 8)"]),
        (torch.rand(2, 3, 8, 9), ["(batch, 3, 8, 8)", "(2, 3, 8, 9)"]),
        (torch.rand(3, 8, 8), ["(3, 8, 8)"]),
        (torch.rand(0, 3, 8, 8), ["none of them 0"]),
        (torch.rand(2, 3, 8, 8) * 255, ["divide by 255"]),
        (torch.full((1, 3, 8, 8), math.nan), ["nan"]),
        (torch.zeros(1, 3, 8, 8, dtype=torch.long), ["uint8 or floating", "int64"]),
        ("picture.png", ["tensor", "str"]),
    ],
)
def test_images_of_another_size_or_range_are_refused(x, words):
    for model in (jamba(image_size=(8, 8)), ssm(image_size=(8, 8))):
        with pytest.raises(ValueError, match=r".") as error:
            model(x)
        for word in words:
            assert word in str(error.value)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: jamba(tokens="pixels"), "patches, one, frames"),
        (lambda: jamba(hidden_dim=0), "hidden_dim"),
        (lambda: jamba(pools=3), "pools"),
        (lambda: jamba(output_dim=0), "output_dim"),
        (lambda: jamba(num_heads=3), "num_heads 3"),
        (lambda: jamba(num_experts_per_token=3), "top_k 3"),
        (lambda: ssm().compute_loss(torch.zeros(1, 3), torch.tensor([3])), "0 to 2"),
        (lambda: ssm().compute_loss(torch.zeros(2, 3), torch.zeros(2)), "whole numbers"),
        (lambda: ssm().compute_loss(torch.zeros(2, 3), [0, 1]), "whole numbers .* was list"),
        (lambda: ssm().compute_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)), "not empty"),
        (lambda: ssm().compute_loss(torch.zeros(2, 3), torch.zeros(0, dtype=torch.long)), "(2,)"),
        (lambda: ssm().compute_loss(torch.zeros(2, 4), torch.zeros(2, dtype=torch.long)), r"\(batch, 3\)"),
        (lambda: DHCSSMModel(DHCSSMConfig(state_dim=0)), "state_dim"),
        (lambda: DHCSSMModel({"state_dim": 4}), "config must be a DHCSSMConfig, was dict"),
        (lambda: DHCJambaModel({"hidden_dim": 4}), "config must be a DHCJambaConfig, was dict"),
        *((lambda s=s: ssm(image_size=s), "image_size") for s in (8, (3, 8, 8), (-8, 8), (8, 0), "8x8", (8.0, 8))),
        (lambda: DHCJambaConfig.preset("huge"), "small, medium, large"),
    ],
)
def test_what_does_not_fit_is_refused(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_digits_are_always_split_alike_and_never_shared():
    images = load_digits()
    assert images.train_x.shape == (1437, 1, 8, 8)
    assert images.test_x.shape == (360, 1, 8, 8)
    assert images.train_x.dtype is torch.uint8
    assert int(images.train_x.max()) == 255
    assert len(images.test_y.unique()) == 10
    assert torch.equal(load_digits().test_x, images.test_x)


def test_cifar10_that_is_missing_says_where_it_goes(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Unpack .* data_batch_1 exists".replace(" .* ", r"(.|\n)*")):
        load_cifar10(tmp_path)


def written(folder, binary: bool):
    """CIFAR-10 of two images a file, in either form."""
    rng = np.random.default_rng(0)
    expected = []
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        x, y = rng.integers(256, size=(2, 3072), dtype=np.uint8), rng.integers(10, size=2)
        expected.append((x, y))
        if binary:
            np.concatenate([y[:, None].astype(np.uint8), x], 1).tofile(folder / f"{name}.bin")
        else:
            (folder / name).write_bytes(pickle.dumps({b"data": x, b"labels": y.tolist()}, protocol=2))
    return expected


@pytest.mark.parametrize("binary", [True, False])
def test_cifar10_is_read_in_both_published_forms(tmp_path, binary):
    folder = tmp_path / ("cifar-10-batches-bin" if binary else "cifar-10-batches-py")
    folder.mkdir()
    expected = written(folder, binary)
    images = load_cifar10(tmp_path)
    assert images.train_x.shape == (10, 3, 32, 32)
    x, y = expected[-1]
    assert torch.equal(images.test_x.flatten(1), torch.from_numpy(x))
    assert images.test_y.tolist() == y.tolist()
    assert torch.equal(load_cifar10(folder).train_y, images.train_y)


def test_files_that_are_not_of_cifar10_are_named_and_run_nothing(tmp_path):
    written(tmp_path, True)
    (tmp_path / "test_batch.bin").write_bytes(b"123")
    with pytest.raises(ValueError, match=r"test_batch\.bin.*3073"):
        load_cifar10(tmp_path)
    (tmp_path / "test_batch.bin").unlink()
    written(tmp_path, False)
    (tmp_path / "test_batch.bin").unlink(missing_ok=True)
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps(print))
    with pytest.raises(ValueError, match=r"data_batch_2.*print"):
        load_cifar10(tmp_path)
