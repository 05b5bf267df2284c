"""The charts: each draws the numbers of the payload, and what one does in it arrives."""

import itertools
import re

import numpy as np
import pytest

from tests.analysis import payloads
from tests.analysis.dashboard.browsing import CHARTS, ids, of


def test_the_selection_drives_the_curves(shared):
    page, sweep = shared
    page.page.fill("#filter", "")
    page.select()
    page.look_at("curves")
    assert "No run is selected" in page.page.inner_text("#curves")
    page.page.fill("#filter", "T=64 cell=lstm")
    page.page.click("#all")
    assert set(page.state("selected")) == ids(sweep, lambda run: run["settings"][:2] == [64, "lstm"])
    page.page.locator("tr[data-run=r6] input").click()
    page.settle()
    drawn = {row["run"] for row in page.data("curves")}
    assert drawn == set(page.state("selected")) - {"r11"}  # it failed before it had a curve
    assert "r6" not in drawn
    colours = {row["run"]: row["colour"] for row in page.data("curves")}
    assert len(set(colours.values())) == len(drawn)
    page.page.locator("tr[data-run=r8] input").click()
    page.settle()
    assert {row["run"]: row["colour"] for row in page.data("curves")} == {k: v for k, v in colours.items() if k != "r8"}
    page.page.locator("tr[data-run=r6] input").click()
    page.settle()
    now = {row["run"]: row["colour"] for row in page.data("curves")}
    assert now.keys() == colours.keys() - {"r8"} | {"r6"}
    assert len(set(now.values())) == len(now)  # the colour of who left, not that of who stayed
    page.page.click("#none")
    assert page.state("selected") == []


def test_curves_have_a_log_axis_smoothing_and_a_tooltip_with_the_number(shared):
    page, sweep = shared
    page.select("r0", "r15")
    page.look_at("curves")
    page.choose("#curve", "train/loss")
    steps, values = of(sweep, "r0")["curves"]["train/loss"]
    line = [row for row in page.data("curves") if row["kind"] == "line" and row["run"] == "r0"]
    assert [row["y"] for row in line] == pytest.approx(values)
    (end,) = [row for row in page.data("curves") if row["kind"] == "end"]
    assert (end["run"], end["step"]) == ("r15", of(sweep, "r15")["curves"]["train/loss"][0][79])
    page.page.mouse.move(*page.pixel("curves", "points", "step", "y", run="r0", step=steps[50], kind="point"))
    told = page.page.inner_text("#tooltip")
    assert f"{steps[50]}\n" in told
    assert f"{values[50]:.4g}" in told
    assert "seed=0" in told
    scale = "rnnlab.charts.get('curves').view.scale('y').type"
    assert page.page.evaluate(scale) == "log"
    page.page.uncheck("#curve-log")
    page.settle()
    assert page.page.evaluate(scale) == "linear"
    page.page.evaluate("rnnlab.change({ smoothing: 20, curveLog: true })")
    page.settle()
    smooth = [row["y"] for row in page.data("curves") if row["kind"] == "line" and row["run"] == "r0"]
    raw = [row["y"] for row in page.data("curves") if row["kind"] == "raw" and row["run"] == "r0"]
    assert raw == pytest.approx(values)
    weights = np.exp(-(((np.array(steps) - steps[50]) / 200) ** 2) / 2)  # 20 % of 1,000 steps
    assert smooth[50] == pytest.approx(np.exp(weights @ np.log(values) / weights.sum()))
    assert min(raw) < min(smooth)
    assert max(smooth) <= max(raw)
    page.choose("#curve", "validation/error")
    assert page.page.evaluate(scale) == "linear"
    page.page.evaluate("rnnlab.change({ smoothing: 0 })")
    assert page.page.inner_text("#smoothing-text") == "none"


def expected(lag: float, step: int, decay: float, of_series: int = 0) -> float:
    return payloads.log10(round(lag), step, decay, of_series)


def test_sliding_shows_the_profile_of_the_payload_at_that_step(shared):
    page, sweep = shared
    run = of(sweep, "r30")  # T = 1000, bins of unequal width
    page.select("r30", "r0")
    page.page.evaluate("rnnlab.change({ focus: 'r30', across: 'lag', step: Infinity })")
    page.look_at("profile")
    key = page.page.locator("#profile-key button")
    assert key.all_inner_texts() == ["T=1000 lstm", "T=64 elman"]  # in what they differ: not in depth and seed
    assert "seed=0" in key.first.get_attribute("title")
    quantum = 30 / payloads.LEVELS / 2
    slider = page.page.locator("#step")
    for at in (5, 4, 3):
        step = run["profiles"]["steps"][at]
        assert slider.get_attribute("aria-valuetext") == f"update {step}" == page.page.inner_text("#step-text")
        mine = [row for row in page.data("profile") if row["run"] == "r30" and row["kind"] == "value"]
        assert len(mine) > 50
        for row in mine:
            assert row["y"] == pytest.approx(expected(row["x"], step, run["decay"]), abs=quantum)
        compared = [row for row in page.data("profile") if row["run"] == "r0"]
        assert {row["step"] for row in compared} == {step}
        assert page.page.evaluate("rnnlab.charts.get('gradient').view.signal('probe')") == step
        slider.press("ArrowLeft")
        page.settle()
    rows = [row for row in page.data("gradient") if row["kind"] == "value" and row["step"] == 0]
    edges = sorted((row["x0"], row["x1"]) for row in rows)
    assert all(left[1] == right[0] for left, right in itertools.pairwise(edges))
    assert edges[0] == (-0.5, 0.5)
    assert edges[-1][1] - edges[-1][0] > 10
    page.choose("#across", "time")
    assert max(row["x1"] for row in page.data("gradient")) == 999.5
    latest = max((row for row in page.data("profile") if row["run"] == "r30"), key=lambda row: row["x"])
    assert (latest["x"], latest["lag"]) == (999, 0)
    page.page.uncheck("#compare")
    page.settle()
    assert {row["run"] for row in page.data("profile")} == {"r30"}
    page.page.check("#compare")


def test_what_is_below_the_floor_or_not_finite_is_marked_and_named(opened):
    series = payloads.layers(2, ("forward", "backward"), ("h", "c"))
    sweep = payloads.sweep(lengths=(10000,), cells=("lstm",), depths=(2,), seeds=1, series=series, probed=8)
    run = sweep["runs"][0]
    run["profiles"] = payloads.profiles(10000, -0.05, [0, 10, 100], series, broken=True)
    page = opened(sweep)
    page.look_at("gradient")
    kinds = {row["kind"] for row in page.data("gradient")}
    assert kinds == {"value", "below", "unfinite", "row"}
    assert "below the floor" in page.page.inner_text("#gradient-key")
    assert "not finite" in page.page.inner_text("#gradient-key")
    below = [row for row in page.data("gradient") if row["kind"] == "below" and row["step"] == 0]
    assert len(below) == 1  # neighbours are one stretch
    assert below[0]["x0"] == pytest.approx(30 / 0.05, rel=0.1)
    beyond = [row for row in page.data("gradient") if row["kind"] == "unfinite"]
    assert {row["step"] for row in beyond} == {100}
    assert page.page.locator("#series input:checked").count() == 1
    page.page.locator("#series input").nth(2).check()
    page.settle()
    assert {row["series"] for row in page.data("profile")} == {"layer 0, forward, h", "layer 0, backward, h"}
    back = [row for row in page.data("profile") if row["series"] == "layer 0, backward, h" and row["kind"] == "value"]
    assert all(abs(row["from"] - row["lag"]) <= row["to"] - row["from"] for row in back)


def test_the_horizon_stands_against_any_axis_with_its_lower_bounds_marked(shared):
    page, sweep = shared
    page.page.fill("#filter", "")
    page.look_at("horizon")
    page.choose("#horizon-against", "task.length")
    points = {(row["run"], row["stage"]): row for row in page.data("horizon") if row["kind"] == "point"}
    known = [run for run in sweep["runs"] if run["horizon"] is not None]
    assert len(points) == sum(2 - (run["outcome"] == "diverged") for run in known)
    for run in known:
        assert points[run["run"], "at initialisation"]["y"] == run["init"]["horizon"]
        if run["outcome"] != "diverged":
            row = points[run["run"], "trained"]
            assert (row["y"], row["shape"]) == (run["horizon"], "triangle-up" if run["censored"] else "circle")
    assert page.page.evaluate("rnnlab.charts.get('horizon').view.scale('x').type") == "log"
    whole = page.data("horizon", "whole")
    assert len(whole) == 2
    assert all(row["x"] == row["y"] for row in whole)
    page.choose("#horizon-against", "cell")
    page.choose("#horizon-colour", "network.depth")
    colours = {row["colour"] for row in page.data("horizon")}
    assert len(colours) == 3
    assert {round(row["x"]) for row in page.data("horizon")} == {0, 1}
    page.page.fill("#filter", "depth=2")
    page.settle()
    drawn = ids(sweep, lambda run: run["settings"][2] == 2 and run["horizon"] is not None)
    assert {row["run"] for row in page.data("horizon")} == drawn


def test_the_trainability_map_counts_the_solved_and_draws_the_horizon_over_them(shared):
    page, sweep = shared
    page.page.fill("#filter", "")
    page.look_at("trainability")
    page.choose("#map-against", "network.depth")
    tiles = page.data("trainability", "tiles")
    assert len(tiles) == 9
    for tile in tiles:
        here = [run for run in sweep["runs"] if run["T"] == tile["T"] and str(run["settings"][2]) == tile["of"]]
        finished = [run for run in here if run["outcome"] in payloads.OUTCOMES]
        solved = sum(run["outcome"] == "solved" for run in finished)
        assert tile["text"].split()[0] == f"{solved}/{len(finished)}"
        assert {run["run"] for run in here} == set(tile["runs"])
        assert tile["written"] == tile["text"]
    for kind, value in (
        ("measured", lambda r: r["init"]["horizon"]),
        ("predicted", lambda r: r["predicted"]["horizon"]),
    ):
        (point,) = (row for row in page.data("trainability", "horizons") if (row["kind"], row["of"]) == (kind, "4"))
        there = sorted(value(r) for r in sweep["runs"] if r["T"] == 1000 and r["settings"][2] == 4 and r["init"])
        middle = (there[(len(there) - 1) // 2] + there[len(there) // 2]) / 2
        assert point["horizon"] == pytest.approx(middle)
    page.page.mouse.click(*page.pixel("trainability", "tiles", "x", "T", x=1, T=200))
    assert set(page.state("selected")) == ids(sweep, lambda run: run["T"] == 200 and run["settings"][2] == 2)


def luminance(colour: tuple[float, ...]) -> float:
    """Of sRGB in [0, 255], as WCAG 2.2 defines it."""
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour))
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_on_a_tile_can_be_read(shared, theme):
    page, _ = shared
    page.page.fill("#filter", "")
    page.page.evaluate("(theme) => rnnlab.change({ theme, mapAgainst: 'cell' })", theme)
    page.look_at("trainability")
    seen = set()
    for tile in page.data("trainability", "tiles"):
        ground = tuple(map(int, re.findall(r"\d+", tile["colour"])))
        ink = {"#000": (0, 0, 0), "#fff": (255, 255, 255)}[tile["ink"]]
        assert contrast(ink, ground) >= 4.5, tile["colour"]
        seen.add(tile["outcome"])
    assert {"solved", "mixed"} <= seen
    page.page.evaluate("rnnlab.change({ theme: 'auto' })")


def test_a_median_of_lower_bounds_is_one(opened):
    sweep = payloads.sweep(lengths=(10, 40), cells=("lstm", "gru"), depths=(1,), seeds=4)
    page = opened(sweep)
    page.look_at("trainability")
    seen = set()
    for cell in ("lstm", "gru"):
        there = [run["init"] for run in sweep["runs"] if run["init"] and run["settings"][:2] == [40, cell]]
        upper = sorted(there, key=lambda init: (init["horizon"], init["censored"]))[len(there) // 2]
        (point,) = (
            row for row in page.data("trainability", "horizons") if (row["kind"], row["of"]) == ("measured", cell)
        )
        assert point["censored"] == upper["censored"]
        seen.add(tuple(sorted({init["censored"] for init in there})))
    assert (False, True) in seen


def test_a_brush_on_an_axis_selects_the_runs_that_pass_there(shared):
    page, sweep = shared
    page.page.fill("#filter", "")
    page.look_at("parallel")
    strip = page.page.locator(".brush[data-axis='task.length']")
    box = strip.bounding_box()
    x = box["x"] + box["width"] / 2
    page.page.mouse.move(x, box["y"] + 0.3 * box["height"])
    page.page.mouse.down()
    page.page.mouse.move(x, box["y"] + box["height"], steps=4)
    page.page.mouse.up()
    page.settle()
    assert set(page.state("selected")) == ids(sweep, lambda run: run["T"] <= 200)
    cell = page.page.locator(".brush[data-axis='cell']")
    cell.focus()
    for key in ["Shift+ArrowUp"] * 2 + ["ArrowDown"] * 20:
        cell.press(key)
    page.settle()
    assert set(page.state("selected")) == ids(sweep, lambda run: run["T"] <= 200 and run["settings"][1] == "elman")
    assert cell.get_attribute("aria-valuetext").startswith("elman")
    cell.press("Escape")
    page.settle()
    assert set(page.state("selected")) == ids(sweep, lambda run: run["T"] <= 200)
    page.page.click("#unbrush")
    loss = page.page.locator(".brush[data-axis=' loss']")
    for _ in range(20):
        loss.press("Shift+ArrowUp")  # to all of the axis, on which those without a loss have no place
    page.settle()
    assert set(page.state("selected")) == ids(sweep, lambda run: run["loss"] is not None)
    page.page.click("#unbrush")
    page.settle()
    assert strip.get_attribute("aria-valuetext") == "all"


def test_charts_say_in_words_what_they_show(shared):
    page, _ = shared
    page.page.fill("#filter", "")
    page.select("r0")
    for chart in CHARTS:
        page.look_at(chart)
        told = page.page.inner_text(f"#{chart} .summary")
        assert len(told) > 20
        assert page.page.get_attribute(f"#{chart} .view", "aria-label") == told
