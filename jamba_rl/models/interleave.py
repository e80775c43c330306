"""A pattern from counts of layers."""

from __future__ import annotations


def interleave(mamba: int, attention: int) -> str:
    """Return a pattern with so many of M and A, the As evenly apart and each after its Ms.

    :raises ValueError: a count is below 0, or there is no layer

    >>> interleave(6, 2), interleave(2, 2), interleave(3, 0)
    ('MMMAMMMA', 'MAMA', 'MMM')
    """
    for name, count in (("num_mamba_layers", mamba), ("num_transformer_layers", attention)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValueError(f"{name} must be a whole number, 0 or above, was {count!r}")
    layers = mamba + attention
    if not layers:
        raise ValueError("num_mamba_layers and num_transformer_layers are both 0: there is no layer")
    return "".join("A" if (i + 1) * attention // layers > i * attention // layers else "M" for i in range(layers))
