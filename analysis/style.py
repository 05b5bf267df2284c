"""One look for every figure, and one way to save it.

A figure is made inside `look()` from `matplotlib.figure.Figure`, so no pyplot figure, backend or user setting is
involved: the same table gives the same bytes with the same version of matplotlib, whose own fonts are used.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import seaborn
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from analysis import cli

COLUMN = 3.25  # inches: one column of a two-column paper
TEXT = 6.75  # inches: both columns
GREY, DARK = "0.55", "0.25"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")  # with colour, so that lines differ in grey, too
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (8, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
THEORY = (0, (4, 2))  # what is predicted, not measured
SYMBOLS = {  # the label of an axis that holds this setting or number
    "T": "sequence length $T$ (steps)",
    "task.length": "sequence length $T$ (steps)",
    "init.gain": r"gain $g$ ($\sigma_w$ of $W_{ij} \sim \mathcal{N}(0, g^2/H)$)",
    "gain": r"gain $g$ of the recurrent matrix",
    "network.depth": "depth $D$ (layers)",
    "network.hidden": "width $H$ (units)",
    "optimizer.lr": r"learning rate $\eta$",
    "step": "training step (updates)",
    "seconds": "training time (s)",
    "time": "time step $t$",
    "lag": "lag $k$ (steps)",
    "horizon": "effective horizon (steps)",
    "norm": r"$\|\partial L/\partial h_t\|$",
    "ratio": r"$\|\partial L/\partial h_{t-k}\| \,/\, \|\partial L/\partial h_t\|$",
    "train/loss": "training loss",
    "validation/loss": "validation loss",
    "validation/error": "validation error",
}
RC = {
    "figure.dpi": 100,
    "savefig.dpi": 250,
    "pdf.fonttype": 42,  # text stays text
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}


def look() -> AbstractContextManager[None]:
    """The settings inside which a figure is made and saved; those of the user come back at the end."""
    return matplotlib.style.context(["default", RC])


def canvas(width: float, height: float) -> Figure:
    """An empty figure of that many inches, to be called inside `look()`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path) -> list[Path]:
    """Write PATH.pdf and PATH.png, without date, and return both paths.

    Raises:
        ValueError: they cannot be written.
    """
    path = Path(path)
    pdf = path.with_name(f"{path.name}.pdf")
    with look(), cli.whole(pdf) as part:
        FigureCanvasPdf(figure).print_figure(part, format="pdf", metadata={"CreationDate": None})
    return [pdf, save_png(figure, path.with_name(f"{path.name}.png"))]


def save_png(figure: Figure, path: str | Path, dpi: int = 250, source: str = "") -> Path:
    """Write one PNG, without date, and return its path; `source` is put into it as what it was drawn from."""
    metadata = {"Software": None, **({"Source": source} if source else {})}
    with look(), cli.whole(Path(path)) as part:
        FigureCanvasAgg(figure).print_figure(part, format="png", dpi=dpi, metadata=metadata)
    return Path(path)


def categories(names: Iterable[Any]) -> dict[Any, tuple[float, float, float]]:
    """A colour for each name, in the order given: colour-blind safe for up to ten of them."""
    names = list(names)
    return dict(
        zip(names, seaborn.color_palette("colorblind" if len(names) <= 10 else "husl", len(names)), strict=True)
    )


def ordered(values: Iterable[Any]) -> dict[Any, tuple[float, float, float]]:
    """A colour for each value, light to dark from the smallest to the largest: also in grey."""
    values = sorted(values)
    shades = np.linspace(0.1, 1, len(values)) if len(values) > 1 else [0.6]
    return {
        value: tuple(seaborn.color_palette("flare", as_cmap=True)(shade)[:3])
        for value, shade in zip(values, shades, strict=True)
    }


def label(name: str) -> str:
    """What stands at an axis: symbol and unit where they are known, else the name itself."""
    return SYMBOLS.get(name, name)


def power_of_ten(value: float, _: int = 0) -> str:
    """Tick label of an axis that holds base-10 logarithms."""
    return f"$10^{{{value:.0f}}}$"
