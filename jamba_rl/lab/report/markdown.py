"""A report as Markdown, for a terminal and for the pages of a forge."""

from __future__ import annotations

from jamba_rl.lab.report.page import Bars, Chart, Group, Page, Row, Section, Table


def markdown(page: Page) -> str:
    """Words, tables, and figures as links to their files."""
    parts = [f"# {page.title}", f"{page.lead} [report.html](report.html) has the same with curves to explore."]
    for section in page.sections:
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    points = "\n".join(f"- {point}" for point in section.points)
    finding = [f"**{section.finding}**"] if section.finding else []
    texts = [f"## {section.title}", *finding, *section.words, *([points] if points else [])]
    for part in section.parts:
        texts += [_table(part)] if isinstance(part, Table) else _figures(part)
    return [*texts, *(f"<sub>{note}</sub>" for note in section.notes)]


def _figures(part: Bars | Chart | Group) -> list[str]:
    if isinstance(part, Group):
        return [f"### {part.title}", *(text for each in part.parts for text in _figure(each))]
    return _figure(part)


def _table(table: Table) -> str:
    sides = ["---"] + ["---" if column in table.words else "---:" for column in table.columns]
    lines = [_line([table.by, *table.columns]), f"|{'|'.join(sides)}|"]
    return "\n".join([*lines, *(_line([name, *map(_text, row)]) for name, row in table.rows)])


def _text(cell: Row | object) -> str:
    text = str(cell)
    return f"**{text}**" if getattr(cell, "best", False) else text


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _figure(part: Bars | Chart) -> list[str]:
    picture = f"![{part.title}](figures/{part.name}.svg)"
    return [part.finding, picture] if part.finding else [picture]
