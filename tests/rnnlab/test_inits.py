"""What every filler of conf/init keeps to, and the law of each: variance, eigenvalues, singular values, places."""

import math
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import yaml

from rnnlab import inits
from rnnlab.theory import critical_gain
from tests.rnnlab.oracles import CELLS, from_conf

CONF = Path(__file__).parents[2] / "conf"
INITS = {path.stem: path for path in sorted((CONF / "init").glob("*.yaml"))}
OF_SQUARES_ONLY = {"sparse", "spectral"}


def filled(name: str, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float64, **changed) -> torch.Tensor:
    """What the filler makes, with the settings of its file, of a W full of NaN: an entry that it forgets shows."""
    W = torch.full(shape, math.nan, dtype=dtype)
    assert from_conf(INITS[name])(W, generator=torch.Generator().manual_seed(seed), **changed) is W
    return W


def draws(name: str) -> bool:
    """Whether a filler takes numbers from its generator."""
    generator = torch.Generator().manual_seed(0)
    from_conf(INITS[name])(torch.empty(4, 4), generator=generator)
    return not torch.equal(generator.get_state(), torch.Generator().manual_seed(0).get_state())


def settings(paths) -> list:
    """(file, setting, a value of its type that makes no sense) for every setting of the files."""
    found = []
    for path in paths:
        for key, usual in yaml.safe_load(path.read_text()).items():
            wrong = ["nonsense"] if isinstance(usual, str) else [math.nan, math.inf, -math.inf]
            found += [pytest.param(path.stem, key, value, id=f"{path.stem}-{key}={value}") for value in wrong]
    return [setting for setting in found if setting.values[1] != "_target_"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 2, 65])
@pytest.mark.parametrize("name", INITS)
def test_every_entry_is_written_and_the_generator_alone_decides(name, size, dtype):
    before = torch.get_rng_state()
    W = filled(name, size, size, dtype=dtype)
    assert W.isfinite().all()
    assert W.abs().sum() > 0
    assert torch.equal(W, filled(name, size, size, dtype=dtype))
    assert torch.equal(torch.get_rng_state(), before)
    if size == 65:
        assert torch.equal(W, filled(name, size, size, dtype=dtype, seed=1)) != draws(name)


@pytest.mark.parametrize("name", INITS)
def test_each_gate_gets_a_matrix_of_its_own(name):
    cell = CELLS["lstm"](3, 8)
    cell.initialise(from_conf(INITS[name]), torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    for W, U in zip(cell.W.split(8), cell.U.split(8), strict=True):
        expected = from_conf(INITS[name])(torch.empty(8, 8), generator=generator)
        assert torch.equal(W, expected)
        assert torch.equal(U, torch.nn.init.xavier_uniform_(torch.empty(8, 3), generator=generator))


@pytest.mark.parametrize("name", INITS)
def test_the_matrix_of_a_projected_lstm_is_filled_or_refused_by_its_shape(name):
    refusal = pytest.raises(ValueError, match=rf"{name} needs a square W, .*, got one of shape \[9, 4\]")
    with refusal if name in OF_SQUARES_ONLY else nullcontext():
        assert filled(name, 9, 4).isfinite().all()


@pytest.mark.parametrize(("name", "key", "value"), settings(INITS.values()))
def test_a_value_that_makes_no_sense_is_refused_by_name(name, key, value, as_a_user):
    with pytest.raises(ValueError, match=rf"needs .*{key}.*, got {value!r}"):
        filled(name, 4, 4, **{key: value})


REFUSED = [
    ("gaussian", {"gain": 0.0}, "gaussian needs a positive, finite gain, got 0.0"),
    ("orthogonal", {"gain": -1.0}, "orthogonal needs a positive, finite gain, got -1.0"),
    ("identity", {"scale": 0.0}, "identity needs a positive, finite scale, got 0.0"),
    ("sparse", {"spectral_radius": -0.5}, "sparse needs a positive, finite spectral_radius, got -0.5"),
    ("sparse", {"nonzeros": 0}, "sparse needs nonzeros >= 1, got 0"),
    ("spectral", {"radius": 0.0}, "spectral needs a positive, finite radius, got 0.0"),
    ("critical", {"input_variance": -0.1}, "theory needs input_variance finite and >= 0, got -0.1"),
]


@pytest.mark.parametrize(("name", "changed", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_a_value_out_of_its_range_is_refused_by_name_and_rule(name, changed, message):
    with pytest.raises(ValueError, match=message):
        filled(name, 4, 4, **changed)


@pytest.mark.parametrize(
    ("name", "gain"),
    [
        ("gaussian", 1.0),
        ("glorot", 1.0),
        ("torch_default", 3**-0.5),
        ("he", math.sqrt(2)),
        ("critical", critical_gain("tanh", input_variance=0.01)),
    ],
)
def test_entries_are_centred_with_variance_gain_squared_over_H(name, gain):
    """160,000 entries: 4 standard errors of the variance are 1.4 % for a Gaussian, of the mean .01 of a deviation."""
    W = filled(name, 400, 400)
    assert W.var().item() * 400 == pytest.approx(gain**2, rel=0.015)
    assert abs(W.mean().item()) < 0.01 * gain / 20


@pytest.mark.parametrize("name", ["gaussian", "he", "critical", "spectral"])
def test_gaussian_fillers_are_gaussian(name):
    """A kurtosis of 3 within 4 standard errors, sqrt(24 / 160,000) each; a uniform one would have 1.8."""
    W = filled(name, 400, 400)
    assert (W**4).mean().item() / (W**2).mean().item() ** 2 == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("name", ["glorot", "torch_default"])
def test_uniform_fillers_reach_their_bound_and_stop_there(name):
    bound = {"glorot": math.sqrt(6 / 800), "torch_default": 1 / 20}[name]
    largest = filled(name, 400, 400).abs().max().item()
    assert bound * 0.999 < largest <= bound


def test_the_gain_is_a_factor():
    assert torch.allclose(filled("gaussian", 9, 9, gain=1.3), 1.3 * filled("gaussian", 9, 9), rtol=1e-14)


def test_orthogonal_has_all_singular_values_at_the_gain():
    assert (torch.linalg.svdvals(filled("orthogonal", 400, 400, gain=1.3)) - 1.3).abs().max() < 1e-12


def test_identity_is_a_scaled_identity():
    assert torch.equal(filled("identity", 5, 5, scale=0.7), 0.7 * torch.eye(5))


@pytest.mark.parametrize(("name", "key"), [("sparse", "spectral_radius"), ("spectral", "radius")])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_spectral_radius_is_exact(name, key, dtype, tolerance):
    """In float32 the rounding of 200 x 200 entries moves an eigenvalue by 1e-6."""
    W = filled(name, 200, 200, dtype=dtype, **{key: 0.7})
    assert torch.linalg.eigvals(W.double()).abs().max().item() == pytest.approx(0.7, rel=tolerance)


def test_a_matrix_rescaled_to_a_spectral_radius_is_a_gaussian_one():
    W, other = filled("spectral", 50, 50), filled("gaussian", 50, 50)
    assert torch.allclose(W / W.norm(), other / other.norm(), atol=1e-15)


def test_sparse_rows_have_n_gaussian_entries_at_places_of_their_own():
    W = filled("sparse", 400, 400, nonzeros=15)
    assert (W != 0).sum(1).tolist() == [15] * 400
    # hits per column: variance 15 (1 - 15/400) = 14.4; its own standard error over 400 columns is 1
    assert (W != 0).sum(0).double().var().item() == pytest.approx(14.4, abs=4)
    entries = W[W != 0]
    assert abs(entries.mean().item()) < 4 * entries.std().item() / math.sqrt(6000)
    kurtosis = (entries**4).mean() / (entries**2).mean() ** 2
    assert kurtosis.item() == pytest.approx(3, abs=4 * math.sqrt(24 / 6000))
    assert (filled("sparse", 7, 7, nonzeros=15) != 0).all()


def test_the_critical_filler_is_gaussian_at_the_gain_of_theory():
    gain = critical_gain("sigmoid", input_variance=0.3)
    expected = inits.gaussian_(torch.empty(6, 6), gain=gain, generator=torch.Generator().manual_seed(0))
    assert torch.equal(filled("critical", 6, 6, activation="sigmoid", input_variance=0.3), expected)
