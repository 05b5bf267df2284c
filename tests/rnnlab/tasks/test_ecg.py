import itertools

import numpy as np
import pytest
import torch

from rnnlab.tasks import data
from rnnlab.tasks.ecg import ECG

BOUNDS = {"train": (0, 64_800), "validation": (64_800, 86_400), "test": (86_400, 108_000)}


def ecg(length=1000, reduction="mean") -> ECG:
    return ECG(length=length, reduction=reduction, solved_ratio=0.5)


def signal() -> np.ndarray:
    return (data.load("ecg")["counts"].astype(float) - 1024) / 200


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def held_out(split: str, length: int, size: int = 1_000):
    return ecg(length).held_out(split, size, seeded(), dtype=torch.float64)


@pytest.mark.parametrize("split", BOUNDS)
def test_held_out_windows_follow_each_other_and_the_target_is_the_next_sample(split):
    start, stop = BOUNDS[split]
    volts = signal()
    x, y, *_ = held_out(split, 1000)
    assert x.shape[1] == (stop - start - 1) // 1000
    for window in range(x.shape[1]):
        for step in (0, 1, 500, 999):
            assert x[step, window, 0].item() == volts[start + 1000 * window + step]
        assert np.array_equal(y[:, window, 0].numpy(), volts[start + 1000 * window + 1 :][:1000])
    assert held_out(split, 1000, 3).x.equal(x[:, :3])


@pytest.mark.parametrize("split", BOUNDS)
def test_a_drawn_window_is_a_stretch_of_its_split(split):
    start, stop = BOUNDS[split]
    pairs = np.lib.stride_tricks.sliding_window_view(signal()[start:stop], 51)
    known = {pair.tobytes() for pair in pairs}
    x, y, *_ = ecg(50).draw(split, 500, seeded(), dtype=torch.float64)
    for sample in range(500):
        assert torch.cat((x[:, sample, 0], y[-1:, sample, 0])).numpy().tobytes() in known
    assert x[1:].equal(y[:-1])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_longest_windows_fill_the_split_and_do_not_leave_it(split):
    start, stop = BOUNDS[split]
    volts = signal()
    x, y, *_ = ecg(21_599).draw(split, 3, seeded(), dtype=torch.float64)
    assert x[0, :, 0].tolist() == [volts[start]] * 3
    assert y[-1, :, 0].tolist() == [volts[stop - 1]] * 3
    x, *_ = ecg(21_598).draw(split, 40, seeded(), dtype=torch.float64)  # two starts; 40 draws miss one with 2^-39
    assert set(x[0, :, 0].tolist()) == {volts[start], volts[start + 1]}


def test_a_window_longer_than_the_split_is_refused():
    with pytest.raises(ValueError, match=r"^ecg needs length <= 21599 for a window to fit each split, got 21600$"):
        ecg(21_600)
    with pytest.raises(ValueError, match=r"^ecg needs length >= 2 to compare with persistence, got 1$"):
        ecg(1)


def test_chance_is_persistence_on_the_test_split():
    volts = signal()[86_400:]
    persistence = sum((after - before) ** 2 for before, after in itertools.pairwise(volts)) / 21_599
    assert ecg().chance_loss == pytest.approx(persistence, rel=1e-10)  # two orders of a float64 sum
    assert ecg(300, "sum").chance_loss == pytest.approx(300 * persistence, rel=1e-10)
    x, y, *_ = held_out("test", 21_599)
    assert ecg(21_599).metrics(x, y)["loss"] == pytest.approx(persistence, rel=1e-10)


def test_persistence_itself_has_ratio_one_and_its_error_is_in_millivolts():
    x, y, *_ = held_out("test", 1000)
    metrics = ecg().metrics(x, y)
    assert metrics["ratio"] == pytest.approx(1, abs=1e-12)
    assert metrics["error"] ** 2 == pytest.approx(metrics["loss"], rel=1e-12)
    assert metrics["loss"] == pytest.approx(4.1e-3, rel=0.02)  # 21 of 21.6 windows
    # halfway between this sample and the next: half of the error, a quarter of its square
    assert ecg().metrics((x + y) / 2, y)["ratio"] == pytest.approx(0.25, rel=1e-12)


def test_it_is_solved_strictly_below_half_of_persistence():
    assert ecg().solved({"loss": 1.0, "error": 1.0, "ratio": 0.499})
    assert not ecg().solved({"loss": 0.0, "error": 0.0, "ratio": 0.5})


def test_a_linear_prediction_from_sixteen_samples_solves_it():
    def design(split: str):
        x, y, *_ = held_out(split, 10_000)
        past = torch.stack(
            [x[15 - lag : len(x) - lag, :, 0] for lag in range(16)] + [torch.ones_like(x[15:, :, 0])], -1
        )
        return past, y[15:]

    (past, y), (past_test, y_test) = design("train"), design("test")
    weights = torch.linalg.lstsq(past.flatten(0, 1), y.flatten(0, 1)).solution
    metrics = ecg().metrics(past_test @ weights, y_test)
    assert metrics["loss"] == pytest.approx(6.3e-4, rel=0.1)  # DATA.md; there the fit is on 80 % instead of 60 %
    assert ecg().solved(metrics)
