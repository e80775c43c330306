"""A pattern from counts of layers."""

from __future__ import annotations

from jamba_rl.nn.check import check_count


def interleave(mamba: int, attention: int) -> str:
    """Return a pattern with so many of M and A, the As evenly apart and each after its Ms.

    :raises ValueError: a count is below 0, or there is no layer

    >>> interleave(6, 2), interleave(2, 2), interleave(3, 0)
    ('MMMAMMMA', 'MAMA', 'MMM')
    """
    check_count("num_mamba_layers", mamba, 0)
    check_count("num_transformer_layers", attention, 0)
    layers = mamba + attention
    if not layers:
        raise ValueError("num_mamba_layers and num_transformer_layers are both 0: there is no layer")
    return "".join("A" if (i + 1) * attention // layers > i * attention // layers else "M" for i in range(layers))
