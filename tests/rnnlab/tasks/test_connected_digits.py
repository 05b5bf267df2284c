import math

import numpy as np
import pytest
import torch

from rnnlab.tasks import data
from rnnlab.tasks.connected_digits import ConnectedDigits

SPLITS = ("train", "validation", "test")
FRAMES = {"train": 32_564, "validation": 10_595, "test": 10_840}


def digits(length=200, reduction="mean") -> ConnectedDigits:
    return ConnectedDigits(length=length, reduction=reduction, solved_error=0.1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def recordings(split: str) -> list[tuple[np.ndarray, int]]:
    """(coefficients [L, 13], label) of each recording of a split, cut by a plain loop over the stored file."""
    arrays = data.load("spoken_digits")
    found, start = [], 0
    for length, label in zip(arrays["lengths"].tolist(), arrays["labels"].tolist(), strict=True):
        found.append((arrays["coefficients"][start : start + length] / 16, label))
        start += length
    cuts = {"train": (0, 1800), "validation": (1800, 2400), "test": (2400, 3000)}
    return [found[place] for place in arrays["order"][slice(*cuts[split])]]


def standardised(split: str) -> list[tuple[np.ndarray, int]]:
    frames = np.concatenate([frames for frames, _ in recordings("train")])
    mean, std = frames.mean(0), np.sqrt(((frames - frames.mean(0)) ** 2).mean(0))
    return [((frames - mean) / std, label) for frames, label in recordings(split)]


def places(split: str) -> dict[bytes, tuple[int, int]]:
    """Which recording and which of its frames a vector of coefficients is: no two frames of the data are equal."""
    arrays = [frames for frames, _ in recordings(split)]
    found = {frame.tobytes(): (i, j) for i, frames in enumerate(arrays) for j, frame in enumerate(frames)}
    assert len(found) == FRAMES[split]
    return found


def located(x: torch.Tensor, split: str) -> list[list[tuple[int, int]]]:
    """The recording and frame of each step of each stream; standardising is undone to sixteenths, which are exact."""
    frames = np.concatenate([frames for frames, _ in recordings("train")])
    raw = np.rint(16 * (x.numpy() * frames.std(0) + frames.mean(0))) / 16
    known = places(split)
    return [[known[frame.tobytes()] for frame in np.ascontiguousarray(raw[:, b])] for b in range(x.shape[1])]


def test_each_recording_is_in_one_split_and_each_digit_in_equal_numbers():
    keys = {split: {frames.tobytes() for frames, _ in recordings(split)} for split in SPLITS}
    assert [len(keys[split]) for split in SPLITS] == [1800, 600, 600]
    assert len(set.union(*keys.values())) == 3000
    for split, count in zip(SPLITS, (180, 60, 60), strict=True):
        assert np.bincount([label for _, label in recordings(split)]).tolist() == [count] * 10


@pytest.mark.parametrize("split", SPLITS)
def test_held_out_streams_are_the_recordings_of_the_split_joined_in_their_order_and_cut(split):
    x, y, *_ = digits().held_out(split, 10_000, seeded(), dtype=torch.float64)
    joined = np.concatenate([frames for frames, _ in standardised(split)])
    labels = [label for frames, label in recordings(split) for _ in frames]
    assert x.shape[1] == FRAMES[split] // 200
    kept = 200 * x.shape[1]
    # two orders of summation over 32,564 frames
    np.testing.assert_allclose(x.transpose(0, 1).reshape(-1, 13).numpy(), joined[:kept], rtol=0, atol=1e-11)
    assert y.T.flatten().tolist() == labels[:kept]
    assert digits().held_out(split, 3, seeded()).y.equal(y[:, :3])


def test_held_out_digits_follow_each_other_in_no_order():
    for split in SPLITS:
        labels = np.array([label for _, label in recordings(split)])
        table = np.zeros((10, 10))
        np.add.at(table, (labels[:-1], labels[1:]), 1)
        expected = (len(labels) - 1) / 100
        chi2 = ((table - expected) ** 2 / expected).sum()
        assert chi2 < 81 + 5 * math.sqrt(2 * 81)  # chi-squared with 81 degrees of freedom; in the file's own order 424


@pytest.mark.parametrize("split", SPLITS)
def test_a_drawn_stream_is_whole_recordings_of_its_split_cut_at_its_two_ends_and_labelled_by_them(split):
    x, y, *_ = digits(150).draw(split, 60, seeded(), dtype=torch.float64)
    known = recordings(split)
    for b, steps in enumerate(located(x, split)):
        for t, (recording, frame) in enumerate(steps):
            assert y[t, b].item() == known[recording][1]
            if t and (recording, frame - 1) != steps[t - 1]:  # a border: the one before has ended, this one begins
                before, last = steps[t - 1]
                assert frame == 0
                assert last == len(known[before][0]) - 1


def test_only_the_training_split_is_standardised_by_itself():
    parts = {split: np.concatenate([frames for frames, _ in recordings(split)]) for split in SPLITS}
    for split in SPLITS:
        x = digits(1).held_out(split, 40_000, seeded(), dtype=torch.float64).x[0]
        assert len(x) == FRAMES[split]
        mean = (parts[split].mean(0) - parts["train"].mean(0)) / parts["train"].std(0)
        np.testing.assert_allclose(x.mean(0).numpy(), mean, rtol=0, atol=1e-11)  # rounding, as above
        np.testing.assert_allclose(x.std(0, correction=0), parts[split].std(0) / parts["train"].std(0), rtol=1e-11)


def test_a_stream_drawn_alone_is_the_same_in_a_batch_and_in_chunks():
    whole = digits().draw("train", 8, seeded(5))
    alone = digits().draw("train", 1, seeded(5))
    assert alone.x.equal(whole.x[:, :1])
    generator = seeded(5)
    chunks = [digits().draw("train", size, generator) for size in (3, 1, 4)]
    assert torch.cat([chunk.x for chunk in chunks], 1).equal(whole.x)
    assert torch.cat([chunk.y for chunk in chunks], 1).equal(whole.y)


def test_drawn_frames_are_even_over_the_split_at_the_start_in_the_middle_and_at_the_end():
    samples = 4_000
    x, y, *_ = digits(61).draw("test", samples, seeded(2), dtype=torch.float64)
    share = np.bincount([label for frames, label in recordings("test") for _ in frames]) / FRAMES["test"]
    for t in (0, 1, 7, 30, 60):
        counts = np.bincount(y[t].numpy(), minlength=10)
        chi2 = ((counts - samples * share) ** 2 / (samples * share)).sum()
        assert chi2 < 9 + 5 * math.sqrt(18)  # independent samples; seven frames more of one digit in 100 are seen
    first = [steps[0] for steps in located(x[:1], "test")]
    # a stream that always began with a recording's first frame would have mean 0; the mean over frames is this
    lengths = np.array([len(frames) for frames, _ in recordings("test")])
    mean = (lengths * (lengths - 1) / 2).sum() / FRAMES["test"]
    spread = np.std([frame for _, frame in first]) / math.sqrt(samples)
    assert abs(np.mean([frame for _, frame in first]) - mean) < 5 * spread


def test_every_recording_can_be_drawn_and_none_is_preferred():
    x, *_ = digits(1_000).draw("validation", 200, seeded(3), dtype=torch.float64)
    starts = [r for steps in located(x, "validation") for r, frame in steps[1:] if frame == 0]
    counts = np.bincount(starts, minlength=600)
    assert counts.min() > 0  # about 18 of each: one is missed with 600 exp(-18)
    chi2 = ((counts - len(starts) / 600) ** 2 / (len(starts) / 600)).sum()
    assert chi2 < 599 + 5 * math.sqrt(2 * 599)


def test_the_shortest_and_the_longest_streams_fit():
    x, y, *_ = digits(1).draw("test", 5, seeded(), dtype=torch.float64)
    assert y.shape == (1, 5)
    located(x, "test")
    x, y, *_ = digits(10_595).held_out("test", 2, seeded(), dtype=torch.float64)
    assert y.shape == (10_595, 1)
    x, y, *_ = digits(10_595).draw("test", 2, seeded(), dtype=torch.float64)
    assert len({r for r, _ in located(x, "test")[0]}) > 300  # about 570 drawn of 600, with replacement
    with pytest.raises(ValueError, match=r"^connected_digits needs length <= 10595 for a stream to fit each split"):
        digits(10_596)


def test_chance_is_the_entropy_of_the_labels_which_the_best_constant_answer_reaches():
    _, y, *_ = digits(1).held_out("test", 20_000, seeded())
    share = np.bincount(y.flatten().numpy()) / y.numel()
    chance = digits(1).metrics(torch.from_numpy(np.log(share)).expand(*y.shape, 10), y)["loss"]
    assert digits().chance_loss == pytest.approx(chance, rel=1e-12)  # rounding of a float64 sum
    assert digits(50, "sum").chance_loss == pytest.approx(50 * chance, rel=1e-12)
    for digit in range(10):  # moving any probability between two answers is worse
        for step in (-1e-3, 1e-3):
            other = share.copy()
            other[[digit, digit - 1]] += step, -step
            assert -(share * np.log(other)).sum() > chance


def test_error_and_accuracy_count_frames():
    _, y, *_ = digits(20).draw("test", 4, seeded())
    outputs = 9 * torch.nn.functional.one_hot(y, 10).double()
    outputs[:5, 1] = outputs[:5, 1].roll(1, -1)
    outputs[7, 2] = torch.nan
    metrics = digits(20).metrics(outputs, y)
    assert metrics["error"] == 6 / 80
    assert metrics["accuracy"] == 1 - 6 / 80


def test_it_is_solved_strictly_below_its_error():
    assert digits().solved({"loss": 1.0, "error": 0.099, "accuracy": 0.901})
    assert not digits().solved({"loss": 0.0, "error": 0.1, "accuracy": 0.9})


def test_one_frame_says_a_little_and_those_around_it_say_more():
    def fitted(width: int) -> float:
        def design(split: str):
            x, y, *_ = digits(1).held_out(split, 40_000, seeded(), dtype=torch.float64)
            stream = torch.nn.functional.pad(x[0], (0, 0, width, width))
            near = [stream[width + lag : width + lag + len(y[0])] for lag in range(-width, width + 1)]
            return torch.cat([*near, torch.ones(len(y[0]), 1)], -1), y[0]

        (past, y), (past_test, y_test) = design("train"), design("test")
        weights = torch.linalg.lstsq(past, torch.nn.functional.one_hot(y, 10).double()).solution
        return digits(1).metrics((past_test @ weights).unsqueeze(0), y_test.unsqueeze(0))["error"]

    one, around = fitted(0), fitted(8)
    assert one == pytest.approx(1 - 0.370, abs=0.005)  # as seen with the source's own float32 numbers
    assert around < one - 0.1
