"""Train DHC-Jamba and DHC-SSM of equal size on images.

python examples/digits.py                       # scikit-learn's digits, both models, seed 0
python examples/digits.py --seeds 0 1 2 --out results/digits
python examples/digits.py --cifar10 FOLDER      # the published files of CIFAR-10, unpacked in FOLDER
"""

from __future__ import annotations

import argparse
import json
import math
import time
from itertools import product
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from jamba_rl.lab.provenance import collect
from jamba_rl.models import DHCJambaConfig, DHCJambaModel, DHCSSMConfig, DHCSSMModel
from jamba_rl.models.classifier import ImageClassifier
from jamba_rl.models.datasets import Images, load_cifar10, load_digits
from jamba_rl.nn import parameter_groups


def make(name: str, channels: int, pools: int, tokens: str) -> ImageClassifier:
    """Return the hybrid, or the baseline with as many parameters (within half a percent)."""
    sizes = {"hidden_dim": 16, "num_layers": 2, "num_heads": 4, "mamba_ratio": 1, "num_experts": 4}
    jamba = DHCJambaConfig(channels, **sizes, tokens=tokens, pools=pools, backbone={"ffn_mult": 2.0})
    if name == "dhc-jamba":
        return DHCJambaModel(jamba)
    wanted = DHCJambaModel(jamba).num_parameters
    h = round(math.sqrt(wanted / 120))  # about 114 h^2 of the network and 8 h per state

    def of(states: int) -> DHCSSMModel:
        return DHCSSMModel(DHCSSMConfig(channels, h, states, tokens=tokens, pools=pools))

    states = 64
    for _ in range(5):
        here = of(states).num_parameters
        states = max(8, states + round((wanted - here) / (8 * h + 2 * states)))
    return of(states)


def moved(x: Tensor, generator: torch.Generator) -> Tensor:
    """Turn images (B, C, H, W) of bytes by up to 10 degrees, scale by up to a tenth, shift by up to a pixel."""
    n, turn, scale, shift = len(x), math.radians(10), 0.1, 2 / x.shape[-1]
    angle, size, across, down = (torch.rand(4, n, generator=generator) * 2 - 1).unbind()
    cos, sin = torch.cos(turn * angle) * (1 + scale * size), torch.sin(turn * angle) * (1 + scale * size)
    maps = torch.stack([cos, -sin, shift * across, sin, cos, shift * down], 1).view(n, 2, 3)
    grid = torch.nn.functional.affine_grid(maps, list(x.shape), align_corners=False)
    return torch.nn.functional.grid_sample(x.float() / 255, grid, align_corners=False)


def train(model: ImageClassifier, images: Images, args: argparse.Namespace, seed: int) -> ImageClassifier:
    """AdamW with a learning rate that warms up for a tenth of the steps and falls to zero.

    :return: the running mean of the weights, over some hundred steps
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.05), lr=args.lr)
    per_epoch = len(images.train_x) // args.batch
    total = args.epochs * per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1.0, 10 * (i + 1) / total) * 0.5 * (1 + math.cos(math.pi * i / total))
    )
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.995), use_buffers=True)
    for epoch in range(args.epochs):
        order = torch.randperm(len(images.train_x), generator=generator)
        for rows in order[: per_epoch * args.batch].split(args.batch):
            step = model.train_step((moved(images.train_x[rows], generator), images.train_y[rows]), optimizer)
            schedule.step()
            mean.update_parameters(model)
        if epoch % 10 == 9:
            print(f"  epoch {epoch + 1}: {step}", flush=True)
    return mean.module


def share_right(model: ImageClassifier, images: Images) -> float:
    """Accuracy on the test images."""
    parts = list(zip(images.test_x.split(500), images.test_y.split(500), strict=True))
    return sum(model.evaluate_step(part)["accuracy"] * len(part[1]) for part in parts) / len(images.test_y)


def held_out(images: Images, count: int) -> Images:
    """The last training images in place of those to test on: what is chosen by them is not chosen by the test."""
    x, y = images.train_x, images.train_y
    return images._replace(train_x=x[:-count], train_y=y[:-count], test_x=x[-count:], test_y=y[-count:])


def main(args: argparse.Namespace) -> None:
    """Train, test, and say so."""
    about = {"arguments": vars(args)} | collect()
    images = load_cifar10(args.cifar10) if args.cifar10 else load_digits()
    images = held_out(images, args.held_out) if args.held_out else images
    channels, pools = images.train_x.shape[1], 2 if args.cifar10 else 1
    rows = []
    for seed, name in product(args.seeds, args.models):
        torch.manual_seed(seed)
        model = make(name, channels, pools, args.tokens)
        began, began_cpu = time.perf_counter(), time.process_time()
        accuracy = share_right(train(model, images, args, seed), images)
        rows.append(
            {
                "model": name,
                "seed": seed,
                "parameters": model.num_parameters,
                "accuracy": accuracy,
                "wall_seconds": time.perf_counter() - began,
                "cpu_seconds": time.process_time() - began_cpu,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    if args.out:
        Path(args.out).mkdir(parents=True, exist_ok=True)
        (Path(args.out) / "digits.json").write_text(json.dumps(rows, indent=2) + "\n")
        (Path(args.out) / "provenance.json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="+", choices=("dhc-jamba", "dhc-ssm"), default=("dhc-jamba", "dhc-ssm"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--tokens", choices=("patches", "one"), default="patches")
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--held-out", type=int, help="test on so many of the training images, to choose by")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cifar10", help="folder of CIFAR-10's files, instead of the digits")
    parser.add_argument("--out", help="folder for digits.json and provenance.json")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    main(given)
