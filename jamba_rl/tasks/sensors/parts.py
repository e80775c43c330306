"""Which observation numbers of known envs are positions, which velocities, and so on."""

from __future__ import annotations

from collections.abc import Iterable

from gymnasium import spaces

from jamba_rl.catalogue import UserError, nearest

Part = int | str
"""An observation number, or the word for a part of all of them."""

Table = dict[str, tuple[int, ...]]


def _in_order(**sizes: int) -> Table:
    """Parts that follow one another, by their sizes."""
    table, start = {}, 0
    for word, size in sizes.items():
        table[word] = tuple(range(start, start + size))
        start += size
    return table


# By env name, where the versions that gymnasium can still make agree, or by name and version. All numbers of an env
# are in one part each, as long as no kwarg adds or removes observations. What moves a body forward without changing
# what it looks like (x; of the ant also y) is left out of observations by gymnasium itself.
PARTS: dict[str, Table] = {
    "Ant-v4": _in_order(positions=13, velocities=14),
    "Ant": _in_order(positions=13, velocities=14, contacts=78),
    "CartPole": {"positions": (0, 2), "velocities": (1, 3)},
    "HalfCheetah": _in_order(positions=8, velocities=9),
    "Hopper": _in_order(positions=5, velocities=6),
    # inertia and velocity of bodies, forces of motors and of contacts: all but the first two tell of velocities too
    "Humanoid-v4": _in_order(positions=22, velocities=23, inertia=140, body_velocities=84, motors=23, contacts=84),
    "Humanoid": _in_order(positions=22, velocities=23, inertia=130, body_velocities=78, motors=17, contacts=78),
    "InvertedDoublePendulum-v4": _in_order(positions=5, velocities=3, constraints=3),
    "InvertedDoublePendulum": _in_order(positions=5, velocities=3, constraints=1),
    "InvertedPendulum": _in_order(positions=2, velocities=2),
    "LunarLander": {"positions": (0, 1, 4), "velocities": (2, 3, 5), "contacts": (6, 7)},
    "LunarLanderContinuous": {"positions": (0, 1, 4), "velocities": (2, 3, 5), "contacts": (6, 7)},
    "MountainCarContinuous": {"positions": (0,), "velocities": (1,)},
    "Pendulum": {"positions": (0, 1), "velocities": (2,)},
    # the target is known from where it is, and from where the fingertip is and how far off
    "Reacher-v4": {"positions": (0, 1, 2, 3), "target": (4, 5, 8, 9, 10), "velocities": (6, 7)},
    "Reacher": {"positions": (0, 1, 2, 3), "target": (4, 5, 8, 9), "velocities": (6, 7)},
    "Swimmer": _in_order(positions=3, velocities=5),
    "Walker2d": _in_order(positions=8, velocities=9),
    "jamba_rl/HalfCheetahCue": _in_order(positions=8, velocities=9, signals=2, actions=6),
}
WORDS = tuple(sorted({word for table in PARTS.values() for word in table}))


def as_part(value: object) -> Part:
    """Check what a YAML says of a part.

    :raises ValueError: if it is neither a number nor a word that any env knows
    """
    if isinstance(value, str) and value in WORDS:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    near = nearest(value, WORDS) if isinstance(value, str) else None
    hint = f"; did you mean {near!r}?" if near else ""
    raise ValueError(f"{value!r} is neither an observation number nor one of {', '.join(WORDS)}{hint}")


def table_of(env_id: str) -> Table | None:
    """The parts of a gymnasium id; None if it is not known.

    >>> table_of("module:Hopper-v5")["positions"]
    (0, 1, 2, 3, 4)
    """
    bare = env_id.rpartition(":")[2]
    return PARTS.get(bare) or PARTS.get(bare.rpartition("-v")[0])


def numbers_of(parts: Iterable[Part], key: str, env_id: str, space: spaces.Space) -> list[int]:
    """Observation numbers of parts, sorted.

    :param key: of the task's YAML, for messages
    :raises UserError: if the observations are not a vector, a number is beyond it, or a word is not known for this env
    """
    if not (isinstance(space, spaces.Box) and len(space.shape) == 1):
        raise UserError(f"{key}: {env_id} has observations {space}, and only a vector has numbers")
    size = space.shape[0]
    numbers: set[int] = set()
    for part in parts:
        numbers.update([part] if isinstance(part, int) else _numbers_of_word(part, key, env_id, size))
    beyond = sorted(number for number in numbers if number >= size)
    if beyond:
        raise UserError(f"{key}: {beyond[0]} is beyond the {size} observations of {env_id} (0 to {size - 1})")
    return sorted(numbers)


def _numbers_of_word(word: str, key: str, env_id: str, size: int) -> tuple[int, ...]:
    table = table_of(env_id)
    if table is None:
        known = ", ".join(sorted({name.partition("-v")[0] for name in PARTS}))
        raise UserError(f"{key}: which are the {word} of {env_id} is not known (only of {known}); give their numbers")
    if word not in table:
        raise UserError(f"{key}: {env_id} has no {word}, only {', '.join(table)}")
    if sum(map(len, table.values())) != size:
        raise UserError(f"{key}: {env_id} has {size} observations here, not its usual ones; give numbers for {word!r}")
    return table[word]
