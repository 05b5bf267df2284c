import pytest
import torch

from rnnlab.tasks.digit_image import DigitImage
from rnnlab.tasks.digits import Digits
from tests.rnnlab.tasks.every import seeded

SPLITS = ("train", "validation", "test")
IMAGE = DigitImage(solved_error=0.03)


@pytest.mark.parametrize("split", SPLITS)
def test_the_only_step_holds_what_the_pixels_hold_one_after_the_other(split):
    pixels = Digits(length=64, permuted=False, solved_error=0.2)
    for ask in ("draw", "held_out"):
        once = getattr(IMAGE, ask)(split, 2_000, seeded(1), dtype=torch.float64)
        steps = getattr(pixels, ask)(split, 2_000, seeded(1), dtype=torch.float64)
        assert torch.equal(once.x[0], steps.x[:, :, 0].T)
        assert torch.equal(once.y, steps.y)


def test_a_linear_classifier_is_right_nine_times_of_ten():
    (x, y, *_), (x_test, y_test, *_) = (IMAGE.held_out(s, 2_000, seeded(), dtype=torch.float64) for s in SPLITS[::2])
    past, test = (torch.nn.functional.pad(x[0], (0, 1), value=1) for x in (x, x_test))
    gram = past.T @ past + 1e-2 * torch.eye(65, dtype=torch.float64)
    weights = torch.linalg.solve(gram, past.T @ torch.nn.functional.one_hot(y, 10).double())
    # least squares; logistic regression has 0.02; labels beside their images 0.9 +- 0.016
    assert IMAGE.metrics(test @ weights, y_test)["error"] < 0.1


def test_it_is_solved_strictly_below_its_error():
    assert IMAGE.solved({"loss": 1.0, "error": 0.029})
    assert not IMAGE.solved({"loss": 0.0, "error": 0.03})
