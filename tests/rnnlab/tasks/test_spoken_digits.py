import numpy as np
import pytest
import torch

from rnnlab.tasks.spoken_digits import SpokenDigits
from tests.rnnlab.tasks.every import seeded
from tests.rnnlab.tasks.test_connected_digits import SPLITS, recordings, standardised


def digits(length=92) -> SpokenDigits:
    return SpokenDigits(length=length, solved_error=0.03)


@pytest.mark.parametrize("split", SPLITS)
def test_held_out_samples_are_the_recordings_of_the_split_in_their_order_with_zeros_behind(split):
    x, y, lengths, _ = digits().held_out(split, 5_000, seeded(), dtype=torch.float64)
    known = standardised(split)
    assert y.tolist() == [label for _, label in known]
    assert lengths.tolist() == [len(frames) for frames, _ in known]
    for b, (frames, _) in enumerate(known):
        # two orders of summation over 32,564 frames
        np.testing.assert_allclose(x[: len(frames), b].numpy(), frames, rtol=0, atol=1e-11)
        assert not x[len(frames) :, b].any()
    assert digits().held_out(split, 3, seeded()).y.equal(y[:3])


def test_what_is_longer_is_cut_at_its_end():
    long, short = (digits(T).held_out("test", 600, seeded()) for T in (92, 20))
    assert short.x.equal(long.x[:20])
    assert short.lengths.equal(long.lengths.clamp_max(20))
    assert short.y.equal(long.y)
    assert sum(len(frames) > 50 for split in SPLITS for frames, _ in recordings(split)) == 5


@pytest.mark.parametrize("split", SPLITS)
def test_draws_are_whole_recordings_of_their_split_with_their_label_and_every_one_comes(split):
    everything = digits().held_out(split, 5_000, seeded())
    known = {everything.x[:, b].numpy().tobytes(): everything.y[b].item() for b in range(len(everything.y))}
    assert len(known) == len(everything.y)
    size = 3 * len(known)
    x, y, *_ = digits().draw(split, size, seeded(1))
    drawn = [x[:, b].numpy().tobytes() for b in range(size)]
    assert [known[sample] for sample in drawn] == y.tolist()
    share = len(set(drawn)) / len(known)
    assert abs(share - (1 - np.exp(-3))) < 5 * np.sqrt(np.exp(-3) / len(known))  # each is missed with e^-3


def test_chance_is_exact_because_the_ten_digits_are_equally_many():
    for split, count in zip(SPLITS, (180, 60, 60), strict=True):
        assert digits(1).held_out(split, 5_000, seeded()).y.bincount().tolist() == [count] * 10
    assert digits().chance_loss == np.log(10)


def test_a_linear_classifier_of_mean_and_deviation_is_right_four_times_of_five():
    def design(split: str):
        x, y, lengths, _ = digits().held_out(split, 5_000, seeded(), dtype=torch.float64)
        inside = (torch.arange(92).unsqueeze(1) < lengths).unsqueeze(-1)
        mean = x.sum(0) / lengths.unsqueeze(1)
        deviation = (((x - mean) * inside).square().sum(0) / lengths.unsqueeze(1)).sqrt()
        return torch.cat([mean, deviation, torch.ones(len(y), 1)], 1), y

    (past, y), (past_test, y_test) = design("train"), design("test")
    weights = torch.linalg.lstsq(past, torch.nn.functional.one_hot(y, 10).double()).solution
    # least squares: 0.177; logistic regression: 0.067; labels beside their recordings: 0.9 +- 0.012
    assert digits().metrics(past_test @ weights, y_test)["error"] < 0.2


def test_it_is_solved_strictly_below_its_error():
    assert digits().solved({"loss": 1.0, "error": 0.029})
    assert not digits().solved({"loss": 0.0, "error": 0.03})


def test_a_length_beyond_the_longest_recording_is_refused():
    with pytest.raises(ValueError, match=r"^spoken_digits needs length <= 92, the longest recording, got 93$"):
        digits(93)
