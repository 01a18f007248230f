"""Tables of figures, as text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Table:
    """One section's figures. Cells are texts; `notes` are printed below."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """One row; as many cells as there are columns."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(self.columns)} cells are needed")
        self.rows.append(cells)

    def text(self) -> str:
        """The table in Markdown, first column to the left, the others to the right."""
        lines = [f"### {self.title}", "", _line(self.columns)]
        lines.append(_line(["---", *["--:"] * (len(self.columns) - 1)]))
        lines += [_line(row) for row in self.rows]
        lines += ["", *self.notes, ""] if self.notes else [""]
        return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def ratio(pairs: Sequence[tuple[float, float]]) -> str:
    """The median of value/baseline over rounds, and the smallest and largest in brackets."""
    found = sorted(value / baseline for value, baseline in pairs)
    return f"{statistics.median(found):.2f} ({found[0]:.2f}-{found[-1]:.2f})"


def median(values: Sequence[float], scale: float = 1.0, digits: int = 0) -> str:
    """The median times `scale`, with so many digits behind the point."""
    return f"{statistics.median(values) * scale:,.{digits}f}"
