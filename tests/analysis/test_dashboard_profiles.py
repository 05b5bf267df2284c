"""What the page decodes is what was measured: to half a quantisation step, with each kind of nothing kept apart."""

import base64
import math

import numpy as np
import pytest

from analysis.dashboard.profiles import BINS, BUDGET, Arrays, edges, fitted, packed, read, time_bins


def arrays(log10, lag=None, nonfinite=None, names=((0, "forward", "h"),)):
    log10 = np.asarray(log10, float)
    n, S, T = log10.shape
    lag = np.tile(np.arange(T)[::-1], (S, 1)) if lag is None else np.asarray(lag)
    counts = np.zeros(log10.shape, int) if nonfinite is None else np.asarray(nonfinite)
    return Arrays(np.arange(n), list(names), lag, log10, counts)


def decode(found, series=0):
    """As the contract says, number by number: floats, or what stands for none of them."""
    one = found["series"][series]
    codes = np.frombuffer(base64.b64decode(one["codes"]), np.uint8).reshape(len(found["steps"]), -1)
    words = {0: "below", 254: "none", 255: "not finite"}
    rows = []
    for low, high, row in zip(one["low"], one["high"], codes.tolist(), strict=True):
        rows.append([words[c] if c in words else low + (c - 1) / 252 * (high - low) for c in row])
    return rows, found["bins"][one["bins"]]


def half_a_step(found, series, n):
    one = found["series"][series]
    return (one["high"][n] - one["low"][n]) / 252 / 2 + 1e-12  # rounding of the sum itself


@pytest.mark.parametrize("T", [1, 2, 127, 128])
def test_short_profiles_come_back_step_by_step_to_half_a_quantisation_step(T):
    random = np.random.default_rng(T)
    log10 = random.normal(-3, 4, (5, 2, T))
    names = [(0, "forward", "h"), (0, "backward", "h")]
    lag = np.stack([np.arange(T)[::-1], np.arange(T)])
    found = packed(arrays(log10, lag, names=names))
    assert found["coarse"] is None
    for s in range(2):
        rows, bins = decode(found, s)
        assert bins == {"from": list(range(T)), "to": list(range(T)), "lag": lag[s].tolist()}
        for n, row in enumerate(rows):
            np.testing.assert_allclose(row, log10[n, s], rtol=0, atol=half_a_step(found, s, n))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_long_profiles_are_means_over_bins_that_are_fine_near_the_loss(direction):
    T = 3000
    random = np.random.default_rng(0)
    log10 = np.cumsum(random.normal(0, 0.05, (3, 1, T)), axis=2)
    lag = np.arange(T)[::-1] if direction == "forward" else np.arange(T)
    found = packed(arrays(log10, [lag], names=[(0, direction, "h")]))
    rows, bins = decode(found)
    assert len(bins["from"]) <= BINS
    assert bins["from"] == [0, *(to + 1 for to in bins["to"][:-1])]  # without a gap or an overlap
    assert bins["to"][-1] == T - 1
    for n, row in enumerate(rows):
        for first, last, value, mid in zip(bins["from"], bins["to"], row, bins["lag"], strict=True):
            mean = sum(log10[n, 0, t] for t in range(first, last + 1)) / (last - first + 1)
            assert abs(value - mean) <= half_a_step(found, 0, n)
            width = last - first + 1
            assert width == 1 if mid < BINS // 2 else width <= 2 + mid / 10


def test_a_fall_within_40_of_10000_steps_is_seen():
    T = 10_000
    lag = np.arange(T)[::-1]
    log10 = np.where(lag < 40, -0.3 * lag, -12.0)[None, None]
    rows, bins = decode(packed(arrays(log10)))
    by_lag = dict(zip(bins["lag"], rows[0], strict=True))
    for k in range(41):
        assert by_lag[k] == pytest.approx(-0.3 * k, abs=12 / 252 / 2 + 1e-9)


def test_gradients_of_1e_minus_3010_are_below_the_floor_and_do_not_take_the_scale():
    T = 10_000
    log10 = (-3010 * np.arange(T)[::-1] / (T - 1))[None, None]
    found = packed(arrays(log10))
    rows, bins = decode(found)
    for first, last, value in zip(bins["from"], bins["to"], rows[0], strict=True):
        mean = log10[0, 0, first : last + 1].mean()
        assert (value == "below") == (mean < -30)
        assert value == "below" or abs(value - mean) <= half_a_step(found, 0, 0)
    assert found["series"][0]["low"][0] >= -30


def test_the_floor_is_of_the_run_not_of_the_row():
    log10 = np.array([[[-40.0, -35.0]], [[5.0, -24.9]]])
    rows, _ = decode(packed(arrays(log10)))
    assert rows[0] == ["below", "below"]
    assert rows[1] == pytest.approx([5.0, -24.9], abs=0.07)


def test_zero_no_state_and_not_finite_are_told_apart():
    inf, nan = math.inf, math.nan
    log10 = np.array([[[-inf, nan, nan, inf, -2.0]], [[-inf, nan, -1.0, -3.0, -2.0]]])
    nonfinite = np.array([[[0, 0, 20, 0, 3]], [[0, 0, 0, 0, 0]]])
    rows, _ = decode(packed(arrays(log10, nonfinite=nonfinite)))
    assert rows[0] == ["below", "none", "not finite", "not finite", -2.0]
    assert rows[1] == ["below", "none", -1.0, -3.0, pytest.approx(-2.0, abs=0.005)]


def test_a_bin_takes_the_mean_of_what_is_finite_in_it():
    T = 400
    log10 = np.full((1, 1, T), -1.0)
    log10[0, 0, 1] = -math.inf
    log10[0, 0, 2] = math.nan
    rows, bins = decode(packed(arrays(log10)))
    assert bins["to"][0] >= 2
    assert rows[0][0] == -1.0


def test_a_run_without_a_finite_number_has_no_scale():
    log10 = np.array([[[math.nan, -math.inf, math.nan]]])
    found = packed(arrays(log10, nonfinite=[[[4, 0, 0]]]))
    assert found["series"][0]["low"] == found["series"][0]["high"] == [None]
    assert decode(found)[0] == [["not finite", "below", "none"]]


def test_bins_of_an_encoder_are_fine_near_its_own_end():
    T, end = 2000, 1200  # states at 0 .. 1199, the loss at 1999
    here = np.arange(T) < end
    first, last = time_bins(np.arange(T)[::-1], here)
    assert (last - first)[(first < end) & (first >= end - 40)].max() == 0
    assert (first[0], last[-1]) == (0, T - 1)
    np.testing.assert_array_equal(first[1:], last[:-1] + 1)


@pytest.mark.parametrize("rising", [False, True])
def test_steps_after_the_loss_have_bins_too(rising):
    lag = np.arange(1500)[::-1] - 500
    lag = lag[::-1] if rising else lag
    first, last = time_bins(lag, np.ones(1500, bool))
    assert len(first) <= BINS
    np.testing.assert_array_equal(first, [0, *(last[:-1] + 1)])
    assert last[-1] == 1499
    assert {0, 1, 2, -1} <= {int(lag[a]) for a, b in zip(first, last, strict=True) if a == b}


@pytest.mark.parametrize(("steps", "bins"), [(129, 128), (200, 128), (1000, 64), (10_000, 128), (10_000, 16), (40, 1)])
def test_edges_rise_from_one_end_to_the_other(steps, bins):
    found = edges(steps, bins)
    assert (found[0], found[-1]) == (0, steps)
    assert (np.diff(found) > 0).all()
    assert bins * 0.8 <= len(found) - 1 <= bins


@pytest.mark.parametrize("steps", [1, 2, 5, 12, 15, 300])
@pytest.mark.parametrize("series", [1, 4, 12, 60])
def test_a_run_stays_within_its_budget_and_keeps_its_first_and_last_probe(steps, series):
    kept, bins = fitted(steps, series, 10_000)
    assert (kept[0], kept[-1]) == (0, steps - 1)
    assert len(kept) * series * bins <= max(BUDGET, 2 * series * 16)
    assert steps * series * BINS > BUDGET or (len(kept), bins) == (steps, BINS)


def test_what_was_left_out_for_the_budget_is_said():
    random = np.random.default_rng(0)
    names = [(layer, "forward", "h") for layer in range(12)]
    log10 = random.normal(-3, 1, (20, 12, 300))
    found = packed(arrays(log10, names=names), budget=6000)
    assert found["coarse"] == "7 of 20 probed steps, 64 time bins"
    assert found["steps"] == [0, 3, 6, 10, 13, 16, 19]
    rows, bins = decode(found, 11)
    near = bins["from"].index(299)
    assert [row[near] for row in rows] == pytest.approx(list(log10[found["steps"], 11, 299]), abs=0.02)


def test_reading_takes_the_median_of_the_last_loss_by_step(tmp_path):
    T, random = 6, np.random.default_rng(0)
    norms = random.normal(size=(2, 3, 5, T))
    names = np.array(["mean_log10", "log10_rms", "q10", "q50", "q90"])
    axes = {"layer": np.array([0, 0, 1]), "direction": np.array(["forward"] * 3), "part": np.array(["h", "h", "h"])}
    lag = np.tile(np.arange(T)[::-1] - 2, (3, 1))
    np.savez(
        tmp_path / "profiles.npz",
        step=np.array([10, 0]),
        **axes,
        loss=np.array(["task", "last", "last"]),
        statistic=names,
        lag=lag,
        log10_norm=norms,
        nonfinite=np.zeros((2, 3, T), int),
    )
    found = read(tmp_path / "profiles.npz")
    assert found.steps.tolist() == [0, 10]
    assert found.series == [(0, "forward", "h"), (1, "forward", "h")]
    np.testing.assert_array_equal(found.log10, norms[::-1, 1:, 3])
    assert found.reach(0) == 4  # of the six, two lie after the loss
