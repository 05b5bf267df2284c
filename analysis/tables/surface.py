"""The error surface of one unit, as the probe `surface` leaves it among the axes of a record."""

from pathlib import Path

import numpy as np
import pandas as pd

KINDS = ("surface", "gradient", "curvature", "wall", "descent", "clipped")
COLUMNS = ("kind", "path", "update", "w", "b", "loss", "gradient", "curvature")


def surface(file: str | Path) -> pd.DataFrame:
    """One profiles.npz as a long table: kind, path, update, w, b, loss, gradient, curvature; NaN where there is none.

        surface               every point of the grid
        gradient, curvature   for each w the b at which this is largest, and how large
        wall                  for each w the b and the norm of the gradient that theory gives
        descent, clipped      each update of each path of gradient descent

    Raises:
        ValueError: the probe was not on.
    """
    with Path(file).open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        found = {name.removeprefix("surface_"): data[name] for name in data.files if name.startswith("surface_")}
    if not found:
        raise ValueError(f"{file} holds no surface: add the probe with +probe@probes.surface=surface")
    w, b = found["w"], found["b"]
    grid = {name: found[name].ravel() for name in ("loss", "gradient", "curvature")}
    pieces = [pd.DataFrame({"kind": "surface", "w": np.repeat(w, len(b)), "b": np.tile(b, len(w)), **grid})]
    for name in ("gradient", "curvature"):
        top = {"b": found[f"{name}_b"], name: found[f"{name}_top"]}
        pieces.append(pd.DataFrame({"kind": name, "w": w, **top}))
    pieces.append(pd.DataFrame({"kind": "wall", "w": w, "b": found["wall_b"], "gradient": found["wall_gradient"]}))
    for path, clipped in enumerate(found["clipped"]):
        of = {name: found[f"path_{name}"][path] for name in ("w", "b", "loss")}
        about = {"kind": "clipped" if clipped else "descent", "path": path % (len(found["clipped"]) // 2)}
        pieces.append(pd.DataFrame({**about, "update": np.arange(len(of["w"])), **of}))
    table = pd.concat(pieces, ignore_index=True).reindex(columns=COLUMNS)
    return table.fillna({"path": 0, "update": 0}).astype({"path": int, "update": int})
