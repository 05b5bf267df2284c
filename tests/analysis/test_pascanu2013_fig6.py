"""The wall of `pascanu2013_fig6`: each claim seen to hold and to fail on a wall that is made by hand."""

import numpy as np
import pandas as pd
import pytest

from analysis import pascanu2013_fig6 as experiment
from analysis import tables
from analysis.tables.surface import surface

W, B = np.linspace(4, 7, 13), np.linspace(-3.5, -1.5, 5)
LINE = 0.5 - 0.6 * W
HOLDS = ["holds"] * 7


def arrays(height: float = 8.0) -> dict[str, np.ndarray]:
    """A wall on a line whose gradient grows by 8 decades over w, its curvature as the square; theory is 5 times less.

    Without clipping the first path is thrown away, the second stays above; clipped ones take steps of .03.
    """
    top = 10 ** (height * (W - 4) / 3)
    grid = np.arange(W.size * B.size).reshape(W.size, B.size) / 100
    path_w = np.array([[5, 5.1, 9.0], [5, 4.0, 4.0], [5, 5.03, 5.06], [5, 4.97, 4.94]])
    found = {"w": W, "b": B, "loss": grid, "gradient": grid, "curvature": grid, "gradient_b": LINE}
    found |= {"gradient_top": top, "curvature_b": LINE, "curvature_top": 10 * top**2, "wall_b": LINE}
    found |= {"wall_gradient": top / 5, "clipped": np.array([False, False, True, True]), "path_w": path_w}
    found |= {"path_b": np.full((4, 3), -2.0), "path_loss": np.array([[0.4] * 3] * 2 + [[0.4, 0.2, 0.1]] * 2)}
    return {f"surface_{name}": value for name, value in found.items()}


def made(folder, fabricate, **changed: np.ndarray) -> pd.DataFrame:
    for T in (10, 50):
        settings = {"probes": {"surface": {"length": T, "rate": 0.1, "threshold": 0.3}}}
        path = fabricate.run(folder, f"T{T}", settings=settings, experiment=experiment.NAME)
        of = arrays(height=2.0 if T == 10 else 8.0)
        np.savez(path / "profiles.npz", **of, **{f"surface_{name}": value for name, value in changed.items()})
    return experiment.make(folder, tables.runs(folder), folder)[0][experiment.NAME]


@pytest.fixture
def table(tmp_path, fabricate) -> pd.DataFrame:
    return made(tmp_path, fabricate)


def verdicts(table: pd.DataFrame) -> list[str]:
    return [claim.verdict for claim in experiment.check(table)]


def test_the_grid_is_that_of_the_longest_and_the_walls_are_those_of_both(table):
    grid = table[table["kind"] == "surface"]
    assert set(grid["T"]) == {50}
    point = grid[(grid["w"] == W[4]) & (grid["b"] == B[2])]
    assert point["loss"].item() == (4 * B.size + 2) / 100
    assert table.groupby("kind")["T"].nunique()["gradient"] == 2
    path = table[(table["kind"] == "clipped") & (table["path"] == 1)]
    assert list(path["w"]) == [5, 4.97, 4.94]
    assert list(path["update"]) == [0, 1, 2]


def test_the_ridge_ends_where_the_wall_leaves_the_picture(table):
    found = experiment.ridge(table)
    assert set(found["T"]) == {10, 50}
    assert found["line"].min() > -3.5
    assert found["w"].max() == W[LINE > -3.5].max() < 7
    assert list(found["curvature"]) == pytest.approx(10 * found["gradient"] ** 2)


def test_all_claims_hold_of_a_wall(table):
    assert verdicts(table) == HOLDS


def changed(table: pd.DataFrame, kind: str, column: str, how) -> pd.DataFrame:
    table = table.copy()
    table.loc[table["kind"] == kind, column] = how(table.loc[table["kind"] == kind, column])
    return table


@pytest.mark.parametrize(
    ("kind", "column", "how", "fails"),
    [
        ("gradient", "gradient", lambda v: v / 1e6, {0, 1, 3}),  # no higher than the rest
        ("gradient", "gradient", lambda v: v.where(v.rank() != 19, 1e-9), {1, 3, 4}),  # one gap in it
        ("gradient", "b", lambda v: v + 0.002, {2}),
        ("wall", "gradient", lambda v: v / 100, {3}),
        ("curvature", "curvature", lambda v: v**0.5, {4}),  # as the gradient itself
        ("descent", "w", lambda v: v.clip(4.9, 5.2), {5}),
        ("clipped", "loss", lambda v: 0 * v + 0.3, {6}),
    ],
)
def test_each_claim_fails_where_its_sentence_is_wrong(table, kind, column, how, fails):
    found = verdicts(changed(table, kind, column, how))
    assert {n for n, verdict in enumerate(found) if verdict == "does not hold"} == fails


def test_a_wall_outside_of_the_picture_is_not_tested(table):
    away = table.assign(b=table["b"] - 10 * table["kind"].isin(["wall", "gradient"]))
    assert verdicts(away)[:5] == ["not tested"] * 5


def test_a_record_without_the_probe_is_told_how_to_get_it(tmp_path, fabricate):
    path = fabricate.run(tmp_path, "a")
    with pytest.raises(ValueError, match=r"holds no surface: add the probe with \+probe@probes.surface=surface"):
        surface(path / "profiles.npz")


def test_the_picture_shows_both_kinds_of_paths_and_the_theory(table):
    picture = experiment.figure(table)
    above, height = picture.axes[1], picture.axes[2]
    assert {line.get_gid() for line in above.lines} >= {"descent", "clipped"}
    assert "theory, at the fixed point" in [text.get_text() for text in height.get_legend().get_texts()]
