"""The laws of each filler: variance, singular values, reproducibility."""

import inspect
import math

import pytest
import torch

from rnnlab import inits

SETTINGS = {
    "gaussian_": {"gain": 1.3},
    "orthogonal_": {"gain": 1.3},
    "identity_": {"scale": 0.7},
    "glorot_": {},
    "torch_default_": {},
}


def filled(name: str, size: int = 400, seed: int = 0) -> torch.Tensor:
    return getattr(inits, name)(
        torch.empty(size, size), generator=torch.Generator().manual_seed(seed), **SETTINGS[name]
    )


def test_every_filler_is_listed_here():
    assert {name for name, f in inspect.getmembers(inits, inspect.isfunction) if not name.startswith("_")} == set(
        SETTINGS
    )


@pytest.mark.parametrize(("name", "gain"), [("gaussian_", 1.3), ("glorot_", 1.0), ("torch_default_", 3**-0.5)])
def test_entries_are_centred_with_variance_gain_squared_over_H(name, gain):
    """160,000 entries: 4 standard errors of the variance are 1.4 % for a Gaussian, of the mean .01 of a deviation."""
    W = filled(name)
    assert W.var().item() * 400 == pytest.approx(gain**2, rel=0.015)
    assert abs(W.mean().item()) < 0.01 * gain / 20


@pytest.mark.parametrize("name", ["glorot_", "torch_default_"])
def test_uniform_fillers_reach_their_bound_and_stop_there(name):
    bound = {"glorot_": math.sqrt(6 / 800), "torch_default_": 1 / 20}[name]
    largest = filled(name).abs().max().item()
    assert bound * 0.999 < largest <= bound


def test_orthogonal_has_all_singular_values_at_the_gain():
    W = filled("orthogonal_")
    assert (torch.linalg.svdvals(W) - 1.3).abs().max() < 1e-12


def test_identity_is_a_scaled_identity():
    assert torch.equal(filled("identity_", 5), 0.7 * torch.eye(5))


@pytest.mark.parametrize("name", [n for n in SETTINGS if n != "identity_"])
def test_the_generator_alone_decides(name):
    torch.manual_seed(1)
    first = filled(name, 20)
    torch.manual_seed(2)
    assert torch.equal(first, filled(name, 20))
    assert not torch.equal(first, filled(name, 20, seed=1))


@pytest.mark.parametrize(("name", "key"), [("gaussian_", "gain"), ("orthogonal_", "gain"), ("identity_", "scale")])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_gain_that_is_not_positive_is_refused(name, key, value):
    with pytest.raises(ValueError, match=f"{name[:-1]} needs a positive, finite gain, got {value}"):
        getattr(inits, name)(torch.empty(3, 3), **{key: value})
