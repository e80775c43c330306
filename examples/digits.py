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
from pathlib import Path

import torch
from torch import Tensor

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


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Move every image by up to one pixel either way: the batch in nine parts."""
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    moves = torch.randint(3, (2, len(x)), generator=generator)
    rows = moves[0, :, None] + torch.arange(x.shape[2])
    columns = moves[1, :, None] + torch.arange(x.shape[3])
    batch = torch.arange(len(x))[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def train(model: ImageClassifier, images: Images, epochs: int, lr: float, batch: int, seed: int) -> None:
    """AdamW with a learning rate that warms up for a tenth of the steps and falls to zero."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.05), lr=lr)
    per_epoch = len(images.train_x) // batch
    total = epochs * per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1.0, 10 * (i + 1) / total) * 0.5 * (1 + math.cos(math.pi * i / total))
    )
    for epoch in range(epochs):
        order = torch.randperm(len(images.train_x), generator=generator)
        for rows in order[: per_epoch * batch].split(batch):
            step = model.train_step((shifted(images.train_x[rows], generator), images.train_y[rows]), optimizer)
            schedule.step()
        if epoch % 10 == 9:
            print(f"  epoch {epoch + 1}: {step}", flush=True)


def main(args: argparse.Namespace) -> None:
    """Train, test, and say so."""
    about = {"arguments": vars(args)} | collect()
    images = load_cifar10(args.cifar10) if args.cifar10 else load_digits()
    channels, pools = images.train_x.shape[1], 2 if args.cifar10 else 1
    rows = []
    for seed in args.seeds:
        for name in args.models:
            torch.manual_seed(seed)
            model = make(name, channels, pools, args.tokens)
            began, began_cpu = time.perf_counter(), time.process_time()
            train(model, images, args.epochs, args.lr, args.batch, seed)
            parts = list(zip(images.test_x.split(500), images.test_y.split(500), strict=True))
            right = sum(model.evaluate_step(part)["accuracy"] * len(part[1]) for part in parts)
            accuracy = right / len(images.test_y)
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
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cifar10", help="folder of CIFAR-10's files, instead of the digits")
    parser.add_argument("--out", help="folder for digits.json and provenance.json")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    main(given)
