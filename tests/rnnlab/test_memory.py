"""The long cases fit: memory is measured in a process of its own, where nothing else has raised the peak."""

import pytest

from tests.benchmarks.length import peak


def test_ten_thousand_steps_of_an_lstm_with_their_profile_stay_within_four_gibibytes():
    """H = 64, B = 16; seen .7 GiB beyond the imports, so 2 leaves room and sees a second copy of everything."""
    assert peak("lstm", 10_000, 16) < 2.0


@pytest.mark.parametrize("kind", ["elman", "lstm"])
def test_a_hundred_thousand_steps_with_checkpoints_stay_within_one_and_a_half(kind):
    """H = 64, B = 8: kept whole, states and tape of the LSTM alone are 1.3 GiB."""
    assert peak(kind, 100_000, 8, checkpoint_every=300) < 1.5
