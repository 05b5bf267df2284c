"""The numbers of the shared figures against closed forms, and the figures against the tables that they draw."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis import figures, style
from analysis.figures import heatmap
from analysis.figures.profile import FLOOR
from analysis.statistics.profiles import kept, relative, thinned


def lines_of(axes):
    return {line.get_gid(): line for line in axes.lines if line.get_gid()}


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("p", [0.6, 0.95, 0.975, 0.999])
def test_student_agrees_with_its_closed_forms(p):
    assert figures.student(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-9)
    assert figures.student(p, 2) == pytest.approx((2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p))), rel=1e-9)


@pytest.mark.parametrize(("df", "published"), [(3, 3.182), (4, 2.776), (9, 2.262), (10, 2.228), (30, 2.042)])
def test_student_agrees_with_the_printed_table(df, published):
    assert figures.student(0.975, df) == pytest.approx(published, abs=5e-4)  # three printed decimals


@pytest.mark.parametrize(("p", "df"), [(0.4, 3), (1.0, 3), (0.9, 0)])
def test_student_refuses_what_it_is_not_made_for(p, df):
    with pytest.raises(ValueError, match="student needs"):
        figures.student(p, df)


def profiles(slopes, lags=40, **columns):
    """One run for each slope: a straight line through 0.5."""
    lag = np.arange(lags)
    runs = [pd.DataFrame({"run": f"r{i}", "lag": lag, "relative": 0.5 + s * lag}) for i, s in enumerate(slopes)]
    return pd.concat(runs, ignore_index=True).assign(**columns)


def test_the_interval_of_a_slope_is_that_of_student():
    slopes = np.array([-0.1, -0.2, -0.6])
    (row,) = figures.decays(profiles(slopes, hue="a"), ["hue"]).to_dict("records")
    half = 4.302652729911275 * slopes.std(ddof=1) / math.sqrt(3)  # the .975 quantile for two degrees of freedom
    assert row["slope"] == pytest.approx(slopes.mean(), rel=1e-12)
    assert (row["slope_low"], row["slope_high"]) == pytest.approx((slopes.mean() - half, slopes.mean() + half))
    assert (row["intercept"], row["fit_last"], row["runs"]) == (pytest.approx(0.5), 39, 3)


def test_a_slope_ends_before_the_first_zero_and_one_run_has_no_interval():
    frame = profiles([-0.1], hue="a")
    frame.loc[20:, "relative"] = -np.inf
    frame.loc[25:, "relative"] = 7.0  # after a zero nothing counts
    (row,) = figures.decays(frame, ["hue"]).to_dict("records")
    assert row["slope"] == pytest.approx(-0.1)
    assert row["fit_last"] == 19
    assert math.isnan(row["slope_low"])
    (bent,) = figures.decays(frame.assign(relative=frame["lag"] ** 2.0), ["hue"]).to_dict("records")
    assert bent["slope"] == pytest.approx(39.0)  # of k^2 over an interval: the sum of its ends
    with pytest.raises(ValueError, match="there is no decay"):
        figures.decays(frame.assign(relative=-np.inf), ["hue"])


def test_categories_keep_their_order_through_the_statistics():
    order = ["T = 50", "T = 200"]
    frame = profiles([-0.1, -0.2])
    frame["column"] = pd.Categorical(np.where(frame["run"] == "r0", *reversed(order)), order, ordered=True)
    assert list(figures.decays(frame, ["column"])["column"]) == order
    runs = frame.drop_duplicates("run").assign(outcome="solved")
    assert list(figures.rates(runs, ["column"])["column"].cat.categories) == order


def test_rates_count_finished_runs_and_a_diverged_one_as_not_solved():
    outcomes = ["solved", "solved", "stuck", "diverged", "running", "failed"]
    (row,) = figures.rates(pd.DataFrame({"x": 1, "outcome": outcomes}), ["x"]).to_dict("records")
    assert (row["solved"], row["diverged"], row["runs"], row["rate"]) == (2, 1, 4, 0.5)
    half = 1.959963984540054 / (2 * math.sqrt(4 + 1.959963984540054**2))  # of Wilson's interval at p = 1/2
    assert (row["low"], row["high"]) == pytest.approx((0.5 - half, 0.5 + half))


def test_profiles_are_thinned_near_the_loss_last():
    values = np.arange(10_000)
    chosen = thinned(values, 160)
    assert len(chosen) <= 160
    assert (chosen[0], chosen[-1]) == (0, 9999)
    assert list(chosen[:8]) == list(range(8))
    assert np.diff(chosen).max() <= math.ceil(9_999 / 79)  # the gap of the even half
    np.testing.assert_array_equal(thinned(values[:160], 160), values[:160])
    frame = pd.DataFrame({"run": ["a"] * 500 + ["b"] * 20, "lag": [*range(500), *range(20)]})
    sizes = kept(frame, "lag", 50).groupby("run").size()
    assert sizes["a"] <= 50
    assert sizes["b"] == 20


def test_relative_leaves_out_what_has_no_ratio_and_what_comes_after_the_loss():
    frame = pd.DataFrame({"lag": [-1, 0, 1, 2] * 2, "log10": [9, -1, -3, -np.inf, 9, -np.inf, 2, 3]})
    frame = frame.assign(run=["a"] * 4 + ["b"] * 4, step=0, layer=0, direction="forward", part="h")
    found = relative(frame)
    assert list(zip(found["run"], found["relative"], strict=True)) == [("a", 0.0), ("a", -2.0), ("a", -np.inf)]


def curve(rate, lags=30, **columns):
    lag = np.arange(lags)
    median = rate * lag.astype(float)
    return pd.DataFrame({"lag": lag, "median": median, "low": 1.2 * median, "high": 0.8 * median}).assign(**columns)


def test_the_profile_draws_medians_fits_and_theory_and_says_the_slope():
    fit = {"slope": -0.1, "slope_low": -0.12, "slope_high": -0.08}
    one = curve(-0.1, hue=1.0, **fit).assign(fit=lambda t: -0.1 * t["lag"], predicted=lambda t: -0.11 * t["lag"])
    two = curve(0.0, hue=2.0, slope=0.0, slope_low=np.nan, slope_high=np.nan, fit=0.0, predicted=np.nan)
    figure = figures.profile_figure(pd.concat([one, two]), hue="$g$")
    (axes,) = figure.axes
    lines = lines_of(axes)
    np.testing.assert_array_equal(lines["(1.0, '')"].get_ydata(), one["median"])
    np.testing.assert_array_equal(lines["predicted (1.0, '')"].get_ydata(), one["predicted"])
    assert lines["predicted (1.0, '')"].get_linestyle() == "--"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1:  −0.1 [−0.12, −0.08]", "2:  0"]
    assert legend_of(figure)[:2] == ["$g$ = 1", "$g$ = 2"]
    assert {"mean fit [95 % $t$ interval]", "range over seeds", "theory at init"} <= set(legend_of(figure))


def test_a_profile_beyond_the_drawn_decades_is_marked_where_it_leaves_them():
    table = pd.concat([curve(-1.0, hue="down"), curve(1.0, hue="up"), curve(0.0, hue="gone").assign(median=-np.inf)])
    (axes,) = figures.profile_figure(table).axes
    marks = {(line.get_marker(), line.get_xdata()[0]) for line in axes.lines if line.get_marker() in "v^"}
    assert marks == {("v", 16), ("^", 10), ("v", 0)}  # the first lags below 10^-15.5 and above 10^9.5; all of it
    assert axes.get_ylim()[0] == FLOOR - 0.5


def points(**columns):
    rows = [
        {"x": x, "T": 50, "stage": stage, "median": m, "low": m / 2, "high": 50.0, "bound": m == 50, "outcome": outcome}
        for x, m, outcome in ((0.5, 10.0, "stuck"), (1.0, 50.0, "solved"), (2.0, 20.0, "mixed"))
        for stage in ("init", "trained")
    ]
    return pd.DataFrame(rows).assign(**columns)


def test_the_horizon_stands_at_its_number_with_theory_that_no_T_bounds():
    table = points(predicted=[10.0, np.nan, np.inf, np.nan, 22.0, np.nan])
    figure = figures.horizon_figure(table, x="gain")
    (axes,) = figure.axes
    lines = lines_of(axes)
    for stage in ("init", "trained"):
        np.testing.assert_array_equal(lines[f" {stage}"].get_xdata(), [0.5, 1.0, 2.0])
        np.testing.assert_array_equal(lines[f" {stage}"].get_ydata(), [10, 50, 20])
    theory = lines["predicted"].get_ydata()
    assert (theory[0], theory[2]) == (10, 22)
    assert theory[1] > axes.get_ylim()[1]  # infinity leaves the picture upwards, it is not passed over
    assert set(lines["censoring"].get_ydata()) == {50}
    assert {"theory at init", "lower bound", "trained, outcomes differ", "horizon = T"} <= set(legend_of(figure))


def test_a_horizon_of_names_has_slots_and_no_line_between_them():
    table = points().assign(x=lambda t: t["x"].map({0.5: "glorot", 1.0: "orthogonal", 2.0: "identity"}))
    (axes,) = figures.horizon_figure(table).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["glorot", "identity", "orthogonal"]
    line = lines_of(axes)[" trained"]
    assert line.get_linestyle() == "None"
    np.testing.assert_array_equal(np.round(line.get_xdata()), [0, 1, 2])
    np.testing.assert_array_equal(line.get_ydata(), [10, 20, 50])


def test_tiles_count_runs_and_take_the_horizon_of_all_finished_ones():
    runs = pd.DataFrame({"x": 1.0, "T": 20, "outcome": ["solved", "stuck", "diverged", "running"]})
    runs = runs.assign(horizon=[5.0, 20.0, 20.0, 1.0], bound=[False, True, True, False], predicted=np.nan)
    (row,) = figures.tiles(runs, ["x", "T"]).to_dict("records")
    assert (row["solved"], row["diverged"], row["runs"]) == (1, 1, 3)
    assert (row["horizon"], row["horizon_bound"]) == (20.0, True)


def test_the_map_says_its_counts_and_draws_the_horizon_of_the_largest_T():
    cells = [(x, T) for x in (0.5, 1.0, 2.0) for T in (10, 100)]
    table = pd.DataFrame(cells, columns=["x", "T"]).assign(
        solved=[0, 1, 2, 3, 4, 5], runs=5, diverged=[0, 0, 0, 0, 0, 2]
    )
    table = table.assign(
        horizon=[8.0, 9, 10, 100, 6, 7], horizon_bound=[0, 0, 1, 1, 0, 0], predicted=[9, 9, np.inf, np.inf, 7, 7.0]
    )
    axes, bar = figures.trainability_figure(table, x="gain").axes
    texts = {(round(t.get_position()[0], 3), t.get_text()) for t in axes.texts}
    assert texts == {(0.5, "0/5"), (0.5, "1/5"), (1.125, "2/5"), (1.125, "3/5"), (2.0, "4/5"), (2.0, "5/5\n2×")}
    lines = lines_of(axes)
    np.testing.assert_array_equal(lines["horizon"].get_xydata(), [[0.5, 9], [1, 100], [2, 7]])
    assert lines["predicted"].get_ydata()[1] > axes.get_ylim()[1]
    height = {(round(t.get_position()[0], 3), t.get_text()): t.get_position()[1] for t in axes.texts}
    assert height[1.125, "3/5"] < 100  # its horizon of 100 stands in the middle of the tile
    assert height[0.5, "0/5"] > 10 > height[1.125, "2/5"]  # below its middle stands a horizon of 9
    assert "beyond the map" in legend_of(axes.figure)
    edges = sorted({round(patch.get_x(), 6) for patch in axes.patches})
    assert edges == [0.25, 0.75, 1.5]  # half-way between the gains
    assert sorted({round(patch.get_y(), 3) for patch in axes.patches}) == [3.162, 31.623]  # and between log T
    darkness = [np.mean(patch.get_facecolor()[:3]) for patch in axes.patches]
    assert darkness == sorted(darkness, reverse=True)  # in grey, too
    assert bar.get_ylabel() == "solved runs / runs"


def test_tiles_of_uneven_numbers_are_equally_wide():
    table = pd.DataFrame(
        {"x": [0.1, 0.2, 3.0], "T": 10, "solved": 1, "runs": 2, "diverged": 0, "horizon": [5.0, 9, 14]}
    )
    axes = figures.trainability_figure(table.assign(horizon_bound=False, predicted=9.0)).axes[0]
    assert "beyond the map" not in legend_of(axes.figure)
    assert [patch.get_x() for patch in axes.patches] == [-0.5, 0.5, 1.5]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.1", "0.2", "3"]
    np.testing.assert_array_equal(lines_of(axes)["horizon"].get_xydata(), [[0, 5], [1, 9], [2, 14]])


def logged(name, values, outcome, steps=None):
    steps = range(len(values)) if steps is None else steps
    columns = {"step": steps, "seconds": [10 * s for s in steps], "value": values}
    return pd.DataFrame(columns).assign(run=name, outcome=outcome, hue="a")


def test_a_solved_run_keeps_its_last_value_and_a_diverged_one_leaves():
    curves = [
        logged("long", [8.0, 6.0, 4.0, 2.0], "stuck"),
        logged("solved", [4.0, 1.0], "solved"),
        logged("diverged", [4.0, 9.0, math.nan], "diverged"),
    ]
    table = figures.aligned(pd.concat(curves), ["hue"])
    line = table[table["end"] == ""].set_index("x")
    assert list(line["median"]) == [4.0, 6.0, 2.5, 1.5]
    assert list(line["runs"]) == [3, 3, 2, 2]
    assert list(line["low"]) == [4, 1, 1, 1]
    ends = table[table["end"] != ""].set_index("end")
    assert (ends.loc["solved", "x"], ends.loc["solved", "median"]) == (1, 1.0)
    assert (ends.loc["diverged", "x"], ends.loc["diverged", "median"]) == (1, 9.0)
    (axes,) = figures.learning_figure(table).axes
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(lines_of(axes)["('a', '')"].get_ydata(), line["median"])
    assert lines_of(axes)["diverged"].get_marker() == "X"


def test_runs_of_different_speed_are_aligned_by_what_they_had_logged():
    slow = logged("slow", [8.0, 4.0], "stuck", steps=[0, 4])
    fast = logged("fast", [6.0, 2.0, 1.0], "stuck", steps=[0, 1, 4])
    table = figures.aligned(pd.concat([slow, fast]), ["hue"], "seconds")
    assert list(table["x"]) == [0, 10, 40]
    assert list(table["median"]) == [7.0, 5.0, 2.5]
    with pytest.raises(ValueError, match="no run has logged a finite value"):
        figures.aligned(logged("a", [math.nan], "diverged"), ["hue"])


def test_a_loss_of_zero_is_drawn_on_a_linear_axis():
    (axes,) = figures.learning_figure(figures.aligned(logged("a", [1.0, 0.0], "solved"), ["hue"])).axes
    assert axes.get_yscale() == "linear"


@pytest.mark.parametrize("log_x", [False, True])
def test_no_update_is_cut_off_and_early_ones_have_room_on_a_logarithmic_axis(log_x):
    table = figures.aligned(logged("a", [1.0, 0.5, 0.2, 0.1], "solved", steps=[0, 1, 10, 100]), ["hue"])
    (axes,) = figures.learning_figure(table, log_x=log_x).axes
    places = axes.transLimits.transform(axes.transScale.transform([(step, 1.0) for step in (0, 1, 10, 100)]))[:, 0]
    assert places[0] == pytest.approx(0)
    assert places[-1] < 1
    assert (places[1] > 0.2) == log_x


def probed(run, steps=(0, 1, 10, 100), times=8):
    rows = [(step, time, -float(time) - step / 100) for step in steps for time in range(times)]
    return pd.DataFrame(rows, columns=["step", "time", "log10"]).assign(run=run)


def test_cells_of_the_heat_map_have_the_edges_of_what_they_hold():
    table = figures.updates(probed("a"), bins=3)
    steps = table.drop_duplicates("step").set_index("step")
    np.testing.assert_allclose(steps["step_from"], [-0.5, 0.5, math.sqrt(10), math.sqrt(1000)])
    np.testing.assert_allclose(steps["step_to"], [0.5, math.sqrt(10), math.sqrt(1000), 10**2.5])
    cells = table[table["step"] == 0]
    assert list(zip(cells["time_from"], cells["time_to"], strict=True)) == [(-0.5, 2.5), (2.5, 5.5), (5.5, 7.5)]
    np.testing.assert_allclose(cells["log10"], [-1, -4, -6.5])  # means of 0 1 2, 3 4 5 and 6 7
    even = figures.updates(probed("a", steps=(0, 10, 20))).drop_duplicates("step")
    assert list(even["step_from"]) == [-0.5, 5, 15]
    alone = figures.heatmap_figure(figures.updates(probed("a", steps=(7,)))).axes[0]
    assert list(alone.get_xticks()) == [7]  # a run that diverged at once


def test_the_heat_map_is_the_median_over_runs_and_tells_zero_from_broken():
    frames = [probed("a"), probed("b").assign(log10=lambda t: t["log10"] - 2), probed("c").assign(log10=-np.inf)]
    cell = figures.updates(pd.concat(frames)).query("step == 0 and time_from == 2.5")
    assert cell["log10"].item() == -5.0  # of -3, -5 and zero
    frames[0].loc[0:2, "log10"] = [-np.inf, np.inf, np.nan]
    np.testing.assert_array_equal(figures.updates(frames[0])["log10"][:3], [-np.inf, np.inf, np.nan])
    assert figures.updates(frames[0], bins=4)["log10"][0] == np.inf  # zero and broken in one bin


def test_zero_broken_and_absent_look_different():
    frame = probed("a", times=4)
    frame.loc[frame["time"] == 0, "log10"] = -np.inf
    frame.loc[frame["time"] == 1, "log10"] = np.inf
    frame.loc[(frame["time"] == 2) & (frame["step"] == 0), "log10"] = np.nan
    frame.loc[(frame["time"] == 3) & (frame["step"] == 100), "log10"] = -60.0  # below the floor
    figure = figures.heatmap_figure(figures.updates(frame))
    axes = figure.axes[0]
    hatched = {}
    for patch in axes.patches:
        hatched.setdefault(patch.get_gid(), []).append(patch)
    assert {name: len(patches) for name, patches in hatched.items()} == {"below": 5, "broken": 4}
    assert {(p.get_y(), p.get_y() + p.get_height()) for p in hatched["broken"]} == {(0.5, 1.5)}
    assert hatched["below"][0].get_hatch() != hatched["broken"][0].get_hatch()
    (mesh,) = [artist for artist in axes.collections if artist.get_gid() == "cells"]
    shown = ~np.ma.getmaskarray(mesh.get_array())
    assert shown.tolist() == [[False] * 4, [False] * 4, [False, True, True, True], [True, True, True, False]]
    assert legend_of(figure)[1] == "not finite"
    assert axes.get_xscale() == "symlog"


def test_the_floor_of_a_heat_map_is_that_of_each_panel():
    exploding = figures.updates(probed("a").assign(log10=lambda t: 20.0 * t["time"])).assign(column="exploding")
    vanishing = figures.updates(probed("a")).assign(column="vanishing")
    figure = figures.heatmap_figure(pd.concat([exploding, vanishing]))
    assert not any(axes.patches for axes in figure.axes[:2])
    assert heatmap.FLOOR == -30


def test_an_empty_table_is_refused():
    for draw in (figures.profile_figure, figures.horizon_figure, figures.success_figure, figures.learning_figure):
        with pytest.raises(ValueError, match="there is nothing to draw"):
            draw(pd.DataFrame({"x": []}))


def test_success_stands_beside_each_other_and_keeps_its_numbers():
    runs = pd.DataFrame({"x": [10, 10, 100, 100] * 2, "hue": [0.5] * 4 + [1.0] * 4, "outcome": ["solved", "stuck"] * 4})
    figure = figures.success_figure(figures.rates(runs, ["hue", "x"]), hue="$g$", log=True)
    (axes,) = figure.axes
    one, other = (lines_of(axes)[f"({g}, '')"] for g in (0.5, 1.0))
    np.testing.assert_array_equal(one.get_ydata(), [0.5, 0.5])
    assert (one.get_xdata() < other.get_xdata()).all()
    np.testing.assert_allclose(one.get_xdata() * other.get_xdata(), [100, 10_000])  # each about its own T
    assert other.get_xdata()[0] / one.get_xdata()[0] < 10**0.2  # and nearer to it than to the next
    assert one.get_marker() != other.get_marker()  # in grey, too
    assert legend_of(figure) == ["$g$ = 0.5", "$g$ = 1", "95 % Wilson interval"]


def test_colours_of_numbers_differ_in_grey():
    for n in (2, 3, 5):
        grey = [np.dot(colour, (0.299, 0.587, 0.114)) for colour in style.ordered(range(n)).values()]
        assert grey == sorted(grey, reverse=True)
        assert -np.diff(grey).max() > 0.3 / n  # the steps are even, and none is lost in print
