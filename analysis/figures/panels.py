"""The grid, the lines and the legend of a figure, from the columns `row`, `column`, `hue` and `dash` of its table."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import style

HEAD = 0.4  # inches for the titles and the label below
BREAK = " / "
PANEL = ["row", "column"]
LINE = ["hue", "dash"]
LETTER, HANDLE = 0.047, 0.45  # inches of a letter in a legend, about, and of what stands before it


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """The table with all four columns, empty text where it has none."""
    if table.empty:
        raise ValueError("there is nothing to draw: the table of the figure has no row")
    return table.assign(**{name: "" for name in (*PANEL, *LINE) if name not in table})


def order(values: pd.Series) -> list[Any]:
    """The values that occur, in the order of their categories, else sorted."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        there = set(values)
        return [value for value in values.cat.categories if value in there]
    return sorted(values.unique())


def is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


@dataclass(frozen=True)
class Panels:
    """A figure with its panels: `grid[row, column]` is one of them."""

    figure: Figure
    grid: dict[tuple[Any, Any], Axes]
    rows: list[Any]
    columns: list[Any]

    def of(self, table: pd.DataFrame) -> Iterator[tuple[Axes, pd.DataFrame]]:
        """Each panel with its part of the table, which may be empty."""
        for (row, column), axes in self.grid.items():
            yield axes, table[(table["row"] == row) & (table["column"] == column)]

    def edge(self, axes: Axes) -> bool:
        """Whether the panel is the first of its row."""
        return any(axes is self.grid[row, self.columns[0]] for row in self.rows)

    def finish(self, x: str, y: str, handles: Sequence[Artist], title: str = "") -> Figure:
        """The figure with its two labels, and the legend above it with as many columns as there is room for."""
        if len(self.grid) == 1:  # a label of the whole figure would be centred over the colour bar and the ticks, too
            (axes,) = self.grid.values()
            axes.set(xlabel=x, ylabel=y)
        else:
            self.figure.supxlabel(x, fontsize=7)
            self.figure.supylabel(y, fontsize=7)
        if handles:
            longest = max(len(re.sub(r"\\\w+|[${}^_\\]", "", str(handle.get_label()))) for handle in handles)
            room = max(1, int(self.figure.get_figwidth() / (LETTER * longest + HANDLE)))
            lines = -(-len(handles) // room)
            columns = -(-len(handles) // lines)
            self.figure.set_figheight(self.figure.get_figheight() + 0.15 * lines + 0.1)
            self.figure.legend(handles=handles, loc="outside upper center", ncols=columns, title=title or None)
        elif title:
            self.figure.suptitle(title, fontsize=7)
        return self.figure


def panels(table: pd.DataFrame, height: float, width: float | None = None) -> Panels:
    """An empty panel for each row and column of the table, to be called inside `style.look()`.

    A label is broken where it holds ` / `.
    `Panels.finish` makes room for the legend.

    Args:
        height: of a panel, in inches.
        width: of the figure, in inches; one column of a paper for one panel beside another, both for more of them.
    """
    rows, columns = order(table["row"]), order(table["column"])
    fitting = style.COLUMN if len(columns) == 1 else max(style.TEXT, 1.05 * len(columns) + 0.5)
    figure = style.canvas(width or fitting, height * len(rows) + HEAD)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    grid = {(row, column): axes[i, j] for i, row in enumerate(rows) for j, column in enumerate(columns)}
    for column, one in zip(columns, axes[0], strict=True):
        one.set_title(str(column).replace(BREAK, "\n"))
    for row, line in zip(rows, axes, strict=True):
        if str(row):
            line[0].set_ylabel(str(row).replace(BREAK, "\n"))
    return Panels(figure, grid, rows, columns)


def looks(table: pd.DataFrame) -> dict[tuple[Any, Any], dict[str, Any]]:
    """Colour and dashes for each value of `hue` and `dash`: light to dark for numbers, else by name.

    Lines with names have dashes of their own, where `dash` does not say otherwise, so that they differ in grey, too.
    """
    hues, dashes = order(table["hue"]), order(table["dash"])
    by_dash = len(dashes) > 1 or is_number(table["hue"]) or len(hues) == 1
    colours = style.ordered(hues) if is_number(table["hue"]) else style.categories(hues)
    return {
        (hue, dash): {
            "color": colours[hue],
            "linestyle": style.DASHES[(j if by_dash else i) % len(style.DASHES)],
        }
        for i, hue in enumerate(hues)
        for j, dash in enumerate(dashes)
    }


def named(table: pd.DataFrame, hue: str, marker: bool = False) -> list[Line2D]:
    """Handles of the legend for what `looks` gives: `hue` names the numbers, as in `T = 64`."""
    hues, dashes, look = order(table["hue"]), order(table["dash"]), looks(table)
    marks = markers(table) if marker else {}
    plain = "-" if len(dashes) > 1 else None
    handles = []
    for value in hues:
        if str(value):
            text = f"{hue} = {value:g}" if is_number(table["hue"]) and hue else str(value)
            one = look[value, dashes[0]]
            handles.append(Line2D([], [], color=one["color"], linestyle=plain or one["linestyle"], label=text))
            handles[-1].set_marker(marks.get(value, ""))
    if len(dashes) > 1:
        handles += [
            Line2D([], [], color=style.GREY, linestyle=look[hues[0], dash]["linestyle"], label=str(dash))
            for dash in dashes
        ]
    return handles


def markers(table: pd.DataFrame) -> dict[Any, str]:
    """A marker for each value of `hue`."""
    return {hue: style.MARKERS[i % len(style.MARKERS)] for i, hue in enumerate(order(table["hue"]))}
