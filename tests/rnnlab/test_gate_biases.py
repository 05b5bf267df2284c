"""What every filler of conf/gate_bias keeps to, and the law of each: what the memory keeps over k steps."""

import math

import pytest
import torch

from rnnlab.cells import Cell
from rnnlab.scan import adjoint_scan, scan
from rnnlab.theory import chrono_retention, uniform_gate_retention
from tests.rnnlab.oracles import CELLS, from_conf
from tests.rnnlab.test_inits import CONF, settings

BIASES = {path.stem: path for path in sorted((CONF / "gate_bias").glob("*.yaml"))}
LAWS = {  # root mean square over the units of what is kept over k steps, with the settings of the file and d units
    "constant": lambda k, size: (1 / (1 + math.exp(-1.0))) ** k,
    "chrono": lambda k, size: chrono_retention(k, longest=100),
    "uniform": lambda k, size: uniform_gate_retention(k, size=float(size)),
}
OPPOSED = {"chrono", "uniform"}  # the admitting gate gets the negative bias
WITH_GATES = [name for name in CELLS if CELLS[name](2, 4).memory_biases()]


def filled(name: str, size: int, *, seed: int = 0, dtype=torch.float64, **changed) -> tuple[torch.Tensor, torch.Tensor]:
    retain, admit = (torch.full((size,), x, dtype=dtype) for x in (math.nan, 0.0))
    from_conf(BIASES[name])(retain, admit, generator=torch.Generator().manual_seed(seed), **changed)
    return retain, admit


def within_four_standard_errors(f_to_2k: torch.Tensor, law, k: int, size: int) -> bool:
    """The mean of f^(2k) over the units against law(k)^2; E f^(4k) = law(2k)^2 gives its variance."""
    variance = max(law(2 * k, size) ** 2 - law(k, size) ** 4, 0.0)
    error = abs(f_to_2k.mean().item() - law(k, size) ** 2)
    return error < 4 * math.sqrt(variance / f_to_2k.numel()) + 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 2, 3, 65])
@pytest.mark.parametrize("name", BIASES)
def test_every_entry_is_written_and_the_generator_alone_decides(name, size, dtype):
    before = torch.get_rng_state()
    retain, admit = filled(name, size, dtype=dtype)
    assert retain.isfinite().all()
    assert torch.equal(admit, -retain) or not admit.any()
    if name in LAWS:
        assert torch.equal(admit, -retain) == (name in OPPOSED)
    assert torch.equal(retain, filled(name, size, dtype=dtype)[0])
    assert torch.equal(torch.get_rng_state(), before)
    if size == 65 and name in LAWS:
        assert torch.equal(retain, filled(name, size, dtype=dtype, seed=1)[0]) == (name == "constant")


@pytest.mark.parametrize("name", BIASES)
def test_a_gate_without_an_admitting_one_gets_the_same_bias(name):
    retain = torch.empty(65)
    from_conf(BIASES[name])(retain, None, generator=torch.Generator().manual_seed(0))
    assert torch.equal(retain, filled(name, 65)[0])


@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("name", LAWS)
def test_a_million_units_keep_what_the_law_says(name, k):
    """For the uniform gate 4 standard errors are .4 % of the mean square at lag 1, 3 % at lag 40."""
    retain, _ = filled(name, 1_000_000)
    assert within_four_standard_errors(retain.sigmoid() ** (2 * k), LAWS[name], k, 1_000_000)


def kept(cell: Cell, steps: int) -> torch.Tensor:
    """dm_T/dm_0 [H] of each unit of the memory m, the last block of the state, over steps without input."""
    path = scan(cell, torch.zeros(steps, 1, cell.inputs))[2]
    direct = torch.zeros(path.shape)
    direct[-1, :, -cell.size :] = 1
    return adjoint_scan(cell, path, direct)[0, 0, -cell.size :]


@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("name", LAWS)
def test_a_cell_without_weights_keeps_what_the_law_says(name, cell, k):
    """Measured by the engine, dc_T/dc_t of the LSTM and dh_T/dh_t of the GRU: no path but the gate's. That it is the
    gate's own power is exact in each unit; the law of 400 units is seen within 18 % at lag 1."""
    cell = CELLS[cell](1, 400)
    cell.initialise(lambda W, generator: W.zero_(), torch.Generator().manual_seed(3), gate_bias=from_conf(BIASES[name]))
    ((retain, _),) = cell.memory_biases()
    measured = kept(cell, k)
    assert torch.allclose(measured, retain.sigmoid() ** k, rtol=1e-12, atol=0)
    assert within_four_standard_errors(measured**2, LAWS[name], k, 400)


@pytest.mark.parametrize("cell", WITH_GATES)
@pytest.mark.parametrize("name", BIASES)
def test_a_cell_has_each_of_its_memory_gates_filled_and_no_other_bias(name, cell):
    cell = CELLS[cell](2, 4)
    fill, seen = from_conf(BIASES[name]), []

    def spy(retain, admit, *, generator):
        fill(retain, admit, generator=generator)
        seen.append((retain.clone(), None if admit is None else admit.clone()))

    cell.initialise(torch.nn.init.normal_, torch.Generator().manual_seed(0), gate_bias=spy)
    assert len(seen) == len(cell.memory_biases())
    for (retain, admit), (retained, admitted) in zip(cell.memory_biases(), seen, strict=True):
        assert torch.equal(retain, retained)
        assert admit is None or torch.equal(admit, admitted)
        assert retain.abs().min() > 0
        retain.data.zero_()
        if admit is not None:
            admit.data.zero_()
    assert not any(p.any() for name, p in cell.named_parameters() if name.rpartition(".")[2] == "b")


@pytest.mark.parametrize(("name", "key", "value"), settings(BIASES.values()))
def test_a_value_that_makes_no_sense_is_refused_by_name(name, key, value, as_a_user):
    with pytest.raises(ValueError, match=rf"{name}_bias needs .*{key}.*, got {value!r}"):
        filled(name, 4, **{key: value})


@pytest.mark.parametrize("longest", [2, 0, -5])
def test_chrono_needs_a_dependency_longer_than_two_steps(longest):
    with pytest.raises(ValueError, match=rf"chrono_bias needs a finite longest > 2 steps, got {longest}"):
        filled("chrono", 4, longest=longest)
