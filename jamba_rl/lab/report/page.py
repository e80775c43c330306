"""What a report says, apart from how it is shown: sections of words, tables, and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jamba_rl.lab.stats import Interval, Verdict


@dataclass(frozen=True)
class Cell:
    """A cell that is more than its text.

    :ivar agent: whose colour it has
    :ivar verdict: what it tells
    :ivar best: whether it is the best of its column
    """

    text: str
    agent: str = ""
    verdict: Verdict | None = None
    best: bool = False

    def __str__(self) -> str:
        return self.text


Row = Sequence[Cell | str]


@dataclass(frozen=True)
class Table:
    """Rows, each under the name of its task; tasks are set apart.

    :ivar columns: without that of the task
    :ivar words: columns that hold words, which stand to the left
    """

    columns: Sequence[str]
    rows: Sequence[tuple[str, Row]]
    words: frozenset[str] = frozenset({"agent"})
    by: str = "env"

    @property
    def grouped(self) -> bool:
        """Whether a task has several rows."""
        return len({task for task, _ in self.rows}) < len(self.rows)


@dataclass(frozen=True)
class Bar:
    """An estimate with its interval, of an agent."""

    agent: str
    interval: Interval
    text: str


@dataclass(frozen=True)
class Bars:
    """Estimates with their intervals, side by side on one scale.

    :ivar name: of its figure as a file
    :ivar finding: what it shows, in a sentence
    :ivar label: of the scale
    :ivar marks: values on the scale and what they mean
    :ivar share: whether the scale is one of shares, from 0% to 100% at least
    """

    name: str
    title: str
    bars: Sequence[Bar]
    finding: str = ""
    label: str = ""
    marks: Sequence[tuple[float, str]] = ()
    share: bool = False


@dataclass(frozen=True)
class Line:
    """What one agent draws: its curve, a band around it, and a thin curve for each seed."""

    agent: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    runs: Mapping[int, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Chart:
    """Curves.

    :ivar name: of its figure as a file
    :ivar finding: what it shows, in a sentence
    :ivar note: small print: what is drawn
    :ivar marks: horizontal lines and what they mean
    :ivar share: whether the scale is one of shares, from 0% to 100%
    """

    name: str
    title: str
    lines: Sequence[Line]
    x_label: str
    y_label: str
    finding: str = ""
    note: str = ""
    marks: Sequence[tuple[float, str]] = ()
    share: bool = False


@dataclass(frozen=True)
class Group:
    """Figures that belong together."""

    title: str
    parts: Sequence[Bars | Chart]


Part = Table | Bars | Chart | Group


@dataclass(frozen=True)
class Section:
    """One question, and what the runs answer.

    :ivar anchor: its name in links
    :ivar finding: the answer, in a sentence; code stands in backticks
    :ivar words: what is shown below, in paragraphs
    :ivar notes: small print below: definitions, sources
    """

    anchor: str
    title: str
    finding: str = ""
    words: Sequence[str] = ()
    points: Sequence[str] = ()
    parts: Sequence[Part] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """A report.

    :ivar facts: name and value of what stands at its head
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    agents: Sequence[str]

    @property
    def figures(self) -> list[Bars | Chart]:
        """All figures, in order."""
        parts = [part for section in self.sections for part in section.parts]
        inner = [[*part.parts] if isinstance(part, Group) else [part] for part in parts]
        return [part for each in inner for part in each if isinstance(part, Bars | Chart)]
