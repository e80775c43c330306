"""Train byte-level language models on Python's help texts: the hybrid, pure Mamba, pure attention of equal size.

python examples/language.py                 # the hybrid, and a sample of what it writes
python examples/language.py --compare --seeds 0 1 2 --out results/language   # all three, as a table and a json file
"""

from __future__ import annotations

import argparse
import json
import math
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch

from jamba_rl.lab.provenance import collect
from jamba_rl.models import JambaForCausalLM
from jamba_rl.models.corpus import VOCABULARY, python_help, random_batches
from jamba_rl.nn import parameter_groups
from jamba_rl.nn.accounting import count_parameters

STACKS = {"hybrid": (3, 1), "mamba": (4, 0), "attention": (0, 4)}  # layers of Mamba, of attention
LENGTH, WINDOW = 256, 128
PROMPT = b'The "for" statement'


def make(name: str, args: argparse.Namespace, seed: int = 0, parameters: int | None = None) -> JambaForCausalLM:
    """Return a model; with ``parameters`` its feed-forward is as wide as it takes to have so many."""

    def of_width(hidden: int) -> JambaForCausalLM:
        mamba, attention = STACKS[name]
        fields = {"window": WINDOW, "position": args.position, "branch_scale": args.branch_scale}
        return JambaForCausalLM.from_layers(
            VOCABULARY, args.d_model, mamba, attention, 4, hidden, 4096, dropout=args.dropout, **fields
        )

    width = 2 * args.d_model
    if parameters is not None:
        with torch.device("meta"):
            here, per_unit = (count_parameters(of_width(w)).total for w in (width, width + 1))
        width += round((parameters - here) / (per_unit - here))
    torch.manual_seed(seed)
    return of_width(width)


def train(model: JambaForCausalLM, args: argparse.Namespace, seed: int) -> dict[str, float]:
    """Train, with a learning rate that warms up and falls to zero; return what was measured."""
    tokens, generator = python_help()[0], torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.1), lr=args.lr, betas=(0.9, 0.95))
    began, began_cpu, steps = time.perf_counter(), time.process_time(), 0
    for batch in random_batches(tokens, args.batch, LENGTH, generator):
        done = steps / args.steps if args.steps else (time.process_time() - began_cpu) / (60 * args.minutes)
        if done >= 1:
            break
        rate = min(1.0, steps / 50) * 0.5 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate
        loss = model.loss(batch)
        optimizer.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
        if steps % 100 == 0:
            spent = time.process_time() - began_cpu
            print(f"  {spent:5.0f} CPU s, step {steps}: {loss.cross_entropy.item() / math.log(2):.3f} bits", flush=True)
    return {
        "steps": steps,
        "tokens": steps * args.batch * LENGTH,
        "cpu_seconds": time.process_time() - began_cpu,
        "wall_seconds": time.perf_counter() - began,
    }


@torch.no_grad()
def bits_per_byte(model: JambaForCausalLM) -> float:
    """Of the last tenth, read in rows of 4 x LENGTH bytes from an empty memory."""
    tokens, length = python_help()[1].long(), 4 * LENGTH
    rows = tokens[: len(tokens) // length * length].view(-1, length)
    model.eval()
    nats = [model.loss(part).cross_entropy.item() * len(part) for part in rows.split(8)]
    model.train()
    return sum(nats) / len(rows) / math.log(2)


@torch.no_grad()
def tokens_per_second(model: JambaForCausalLM, length: int, count: int = 200) -> float:
    """While writing on from so many bytes, the prompt not counted; the best of five."""
    model.eval()
    state = model(python_help()[1][None, :length].long()).state
    token, seconds = torch.tensor([32]), []
    for _ in range(5):
        start, after = time.perf_counter(), state
        for _ in range(count):
            after = model.step(token, after).state
        seconds.append(time.perf_counter() - start)
    return count / min(seconds)


@torch.no_grad()
def sample(model: JambaForCausalLM) -> str:
    """300 bytes that it writes."""
    written = model.generate(torch.tensor([list(PROMPT)]), 300, temperature=0.7, top_p=0.95)
    return bytes(written[0].tolist()).decode(errors="replace")


def measured(name: str, args: argparse.Namespace, seed: int, size: int) -> dict[str, Any]:
    """Train a stack of so many parameters, and return its row."""
    model = make(name, args, seed, size)
    row: dict[str, Any] = {"stack": name, "seed": seed, "parameters": count_parameters(model).total}
    print(f"{name}: {row['parameters']:,} parameters, {model.config.pattern}", flush=True)
    row |= train(model, args, seed)
    row["bits_per_byte"] = bits_per_byte(model)
    row["tokens_per_second_at_128"] = tokens_per_second(model, 128)
    row["tokens_per_second_at_2048"] = tokens_per_second(model, 2048)
    print(json.dumps(row), flush=True)
    row["sample"] = sample(model)
    print(row["sample"], flush=True)
    return row


def main(args: argparse.Namespace) -> None:
    """Train, test, and say so."""
    about = {"arguments": vars(args)} | collect()
    size = count_parameters(make("hybrid", args)).total
    rows = []
    for seed, name in product(args.seeds, STACKS if args.compare else [args.stack]):
        rows.append(measured(name, args, seed, size))
        if args.out:
            Path(args.out).mkdir(parents=True, exist_ok=True)
            (Path(args.out) / "language.json").write_text(json.dumps(rows, indent=2) + "\n")
            (Path(args.out) / "provenance.json").write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--compare", action="store_true", help="all three stacks")
    parser.add_argument("--stack", choices=STACKS, default="hybrid")
    parser.add_argument("--minutes", type=float, default=10, help="CPU minutes per model")
    parser.add_argument("--steps", type=int, help="instead of minutes")
    parser.add_argument("--d-model", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--position", choices=("relative", "rope", "none"), default="relative", help="of attention")
    parser.add_argument("--branch-scale", type=float, default=0.5)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", help="folder for language.json and provenance.json")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    main(given)
