"""Seeds for everything that is not the training itself."""

from __future__ import annotations

from zlib import crc32

import numpy as np


def derived_seed(purpose: str, *numbers: int) -> int:
    """Make a seed that is far from all small numbers and from every other purpose's seeds.

    Training uses ``seed, seed + 1, ...``, one per env; what is seeded from here meets neither
    those nor their neighbours.

    >>> derived_seed("evaluation", 0) != derived_seed("resume", 0)
    True
    """
    entropy = (crc32(purpose.encode()), *numbers)
    return int(np.random.SeedSequence(entropy).generate_state(1)[0]) >> 2  # an int32, with room above for the envs
