import numpy as np
import pytest
import torch

from rnnlab.tasks import data
from rnnlab.tasks.digits import Digits

SIZES = {"train": 1078, "validation": 359, "test": 360}


def digits(length=64, permuted=False) -> Digits:
    return Digits(length=length, permuted=permuted, solved_error=0.2)


def held_out(split: str, size: int = 2_000, length: int = 64):
    return digits(length).held_out(split, size, torch.Generator(), dtype=torch.float64)


def test_a_sample_is_its_image_row_by_row():
    x = torch.cat([held_out(split).x for split in SIZES], 1)
    place = data.load("digits")["order"].tolist().index(0)
    image = (16 * x[:, place, 0]).reshape(8, 8)
    assert image[:2].tolist() == [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
    ]  # scikit-learn's documentation
    assert x.min() == 0
    assert x.max() == 1


def test_each_image_is_in_one_split_with_its_own_label():
    arrays = data.load("digits")
    start = 0
    for split, size in SIZES.items():
        x, y, *_ = held_out(split)
        assert x.shape[1] == size
        for place in range(size):
            source = arrays["order"][start + place]
            assert (16 * x[:, place, 0]).tolist() == arrays["pixels"][source].tolist()
            assert y[place].item() == arrays["labels"][source]
        start += size
    assert sorted(arrays["order"].tolist()) == list(range(start))


def test_held_out_gives_at_most_the_size_asked_for():
    assert held_out("test", 7).y.tolist() == held_out("test").y[:7].tolist()


def test_draws_come_from_their_split_with_the_label_of_the_image():
    for split in SIZES:
        x, y, *_ = held_out(split)
        known = {(tuple(x[:, place, 0].tolist()), y[place].item()) for place in range(len(y))}
        x, y, *_ = digits().draw(split, 5_000, torch.Generator().manual_seed(0), dtype=torch.float64)
        drawn = {(tuple(x[:, place, 0].tolist()), y[place].item()) for place in range(len(y))}
        assert drawn <= known
        assert len(drawn) > 0.97 * len(known)  # 5,000 draws miss exp(-5000/1078) = 1 % of the training set


def test_steps_after_the_last_pixel_are_blank_and_the_rest_is_unchanged():
    long, short = held_out("test", length=100), held_out("test")
    assert long.x[64:].abs().sum() == 0
    assert torch.equal(long.x[:64], short.x)
    assert torch.equal(long.y, short.y)


def test_a_linear_classifier_on_the_pixels_generalises_from_train_to_test():
    (x, y, *_), (x_test, y_test, *_) = held_out("train"), held_out("test")
    pixels, pixels_test = (torch.nn.functional.pad(x[:, :, 0].T, (0, 1), value=1) for x in (x, x_test))
    gram = pixels.T @ pixels + 1e-2 * torch.eye(65, dtype=torch.float64)
    weights = torch.linalg.solve(gram, pixels.T @ torch.nn.functional.one_hot(y, 10).double())
    metrics = digits().metrics(pixels_test @ weights, y_test)
    assert metrics["error"] < 0.1  # logistic regression: 0.072; images beside wrong labels: 0.9 +- 0.016


def test_the_best_constant_guess_is_ln_10_up_to_the_imbalance_of_the_classes():
    _, y, *_ = held_out("train")
    frequency = torch.bincount(y, minlength=10).double() / len(y)
    loss = digits().metrics(frequency.log().expand(len(y), 10), y)["loss"]
    # chance - loss = KL(frequency || uniform): chi-squared with 9 degrees of freedom, 9 +- sqrt(18), over 2 N = 2,156
    assert 0 <= digits().chance_loss - loss < (9 + 5 * 18**0.5) / (2 * len(y))


def test_it_is_solved_strictly_below_its_error():
    assert digits().solved({"loss": 1.0, "error": 0.199})
    assert not digits().solved({"loss": 0.0, "error": 0.2})


def test_a_sequence_too_short_for_the_image_is_refused():
    with pytest.raises(ValueError, match=r"^digits needs length >= 64 to show every pixel, got 63$"):
        digits(63)


def test_permuted_pixels_are_those_of_the_image_in_one_random_order():
    plain = held_out("test", length=70)
    x, y, *_ = digits(70, permuted=True).held_out("test", 2_000, torch.Generator(), dtype=torch.float64)
    order = np.random.RandomState(0).permutation(64)
    for t in range(64):
        assert torch.equal(x[t], plain.x[order[t]])
    assert order[:4].tolist() == [45, 29, 43, 61]  # a stream that numpy has promised never to change
    assert x[64:].abs().sum() == 0
    assert torch.equal(y, plain.y)


@pytest.mark.usefixtures("as_a_user")
def test_permuted_is_yes_or_no():
    with pytest.raises(ValueError, match=r"^digits needs permuted to be true or false, got 'yes'$"):
        digits(permuted="yes")
