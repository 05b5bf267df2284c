"""The loop: what it measures, when, and how it ends."""

import math
from functools import partial

import pytest
import torch

from rnnlab.cells import Elman
from rnnlab.inits import orthogonal_
from rnnlab.networks import Stack
from rnnlab.probes import Decades, Every, Profile, Reading, StepLosses
from rnnlab.tasks.adding import Adding
from rnnlab.train import clip_norm, clip_value, evaluate, merge, no_clip, stream, train
from tests.rnnlab.oracles import SHALLOW

TASK = Adding(length=20, marks="halves", tolerance=0.04, solved_error=0.01)


def network_of(task=TASK, gain=1.0, seed=0) -> Stack:
    sizes = {"inputs": task.inputs, "outputs": task.outputs, "hidden": 8, "depth": 1, **SHALLOW}
    network = Stack(partial(Elman, activation="tanh"), **sizes, direction="forward", readout=task.readout)
    return network.initialise(partial(orthogonal_, gain=gain), stream(seed, "init"))


def measured(network, task=TASK, *, lr=0.01, optimizer=torch.optim.SGD, **settings) -> list:
    given = {
        "clip": no_clip,
        "steps": 12,
        "batch": 10,
        "generator": stream(0, "train"),
        "validation": task.held_out("validation", 50, stream(0, "validation"), dtype=torch.float64),
        "probes": [Profile(), StepLosses()],
        "schedule": Decades(),
        "log_every": 4,
        "evaluate_every": 6,
        "stop_when_solved": True,
    }
    return list(train(network, task, optimizer(network.parameters(), lr=lr), **{**given, **settings}))


def test_each_kind_of_measurement_comes_on_its_own_schedule():
    found = measured(network_of())
    assert [m.step for m in found] == [0, 1, 2, 4, 5, 6, 8, 10, 12]
    assert [m.step for m in found if m.reading] == [0, 1, 2, 5, 10, 12]
    assert [m.step for m in found if "validation/loss" in m.scalars] == [0, 6, 12]
    assert [m.outcome for m in found] == [None] * 8 + ["stuck"]
    assert set(found[0].reading.arrays) == {"log10_norm", "zeros", "nonfinite", "samples", "step_loss"}


def test_it_is_plain_gradient_descent_on_the_mean_loss():
    """Three updates by hand, with autograd through a loop of step; step 0 is the initialisation, 3 the result."""
    network, twin = network_of(), network_of()
    found = measured(network, steps=3, lr=0.05, log_every=1)
    generator, (cell,) = stream(0, "train"), twin.layers[0]
    for m in found:
        x, y, *_ = TASK.draw("train", 10, generator, dtype=torch.float64)
        s = torch.zeros(10, 8)
        for z in cell.project(x).unbind(0):
            s = cell.step(z, s)
        loss = (twin.readout(s) - y).square().sum(-1).mean()
        grads = torch.autograd.grad(loss, tuple(twin.parameters()))
        assert m.scalars["train/loss"] == pytest.approx(loss.item(), rel=1e-12)
        norm = math.sqrt(sum(float(g.square().sum()) for g in grads))
        assert m.scalars["grad/norm"] == pytest.approx(norm, rel=1e-12)
        with torch.no_grad():
            for p, g in zip(twin.parameters(), grads, strict=True):
                p -= 0.05 * g * (m.step < 3)
    for p, q in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-12, atol=1e-15)


def test_the_norm_before_clipping_is_recorded_and_the_update_is_clipped():
    """Traps 7 and 8. With plain SGD the update is lr times the clipped gradient."""
    network = network_of()
    before = [p.detach().clone() for p in network.parameters()]
    first, *_ = measured(network, steps=1, lr=0.1, clip=partial(clip_norm, threshold=1e-3))
    assert first.scalars["grad/norm"] > 0.1
    assert first.scalars["grad/clipped"] == 1.0
    moved = [(p.detach() - q).norm() for p, q in zip(network.parameters(), before, strict=True)]
    assert torch.stack(moved).norm().item() == pytest.approx(0.1 * 1e-3, rel=1e-9)


def test_clipping_that_never_fires_changes_no_bit():
    free, guarded = network_of(), network_of()
    measured(free)
    found = measured(guarded, clip=partial(clip_norm, threshold=1e9))
    assert all(m.scalars["grad/clipped"] == 0 for m in found)
    assert all(torch.equal(p, q) for p, q in zip(free.parameters(), guarded.parameters(), strict=True))


def test_probing_changes_no_bit_of_the_training():
    often, never = network_of(), network_of()
    measured(often, schedule=Every(interval=1))
    measured(never, probes=[], schedule=Every(interval=100))
    assert all(torch.equal(p, q) for p, q in zip(often.parameters(), never.parameters(), strict=True))


def test_an_explosion_is_recorded_and_ends_the_run_as_diverged():
    """Trap 9: the non-finite numbers are in the record, and nothing was updated with them."""
    network = network_of()
    *_, last = measured(network, lr=1e200, steps=50)
    assert last.outcome == "diverged"
    assert last.step < 50
    assert last.reading is not None
    assert not math.isfinite(last.scalars["grad/norm"]) or not math.isfinite(last.scalars["train/loss"])
    assert last.scalars["grad/clipped"] == 0


def test_a_solved_task_ends_the_run_at_that_evaluation():
    task = Adding(length=2, marks="halves", tolerance=0.5, solved_error=0.1)  # a coarse sum of two numbers
    *_, last = measured(network_of(task), task, optimizer=torch.optim.Adam, steps=500, clip=no_clip)
    assert last.outcome == "solved"
    assert last.step % 6 == 0
    assert last.step < 500
    assert last.scalars["validation/error"] < 0.1
    again = measured(network_of(task), task, optimizer=torch.optim.Adam, steps=last.step + 5, stop_when_solved=False)
    assert (again[-1].outcome, again[-1].step) == ("solved", last.step + 5)


def test_the_learning_rate_schedule_is_followed_and_recorded():
    network = network_of()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
    found = measured(network, optimizer=lambda *_, **__: optimizer, scheduler=scheduler, steps=4, log_every=1)
    assert [m.scalars["train/learning_rate"] for m in found] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_evaluation_in_chunks_equals_evaluation_at_once(monkeypatch):
    network, batch = network_of(), TASK.held_out("test", 37, stream(0, "test"), dtype=torch.float64)
    whole = evaluate(network, TASK, batch)
    monkeypatch.setattr("rnnlab.train.ROWS", 5 * 20)
    assert evaluate(network, TASK, batch) == pytest.approx(whole)
    assert whole == pytest.approx(TASK.metrics(network(batch.x)[0].detach(), batch.y))


def test_streams_of_one_seed_share_nothing_and_repeat():
    numbers = {
        name: torch.rand(4, generator=stream(3, name)).tolist() for name in ("init", "train", "validation", "test")
    }
    assert len({tuple(v) for v in numbers.values()}) == 4
    assert numbers["init"] == torch.rand(4, generator=stream(3, "init")).tolist()
    assert numbers["init"] != torch.rand(4, generator=stream(4, "init")).tolist()


def test_clip_by_value_says_when_it_fired():
    found = measured(network_of(), clip=partial(clip_value, threshold=1e-6), steps=1)
    assert found[0].scalars["grad/clipped"] == 1.0


@pytest.mark.parametrize(("name", "value"), [("steps", -1), ("batch", 0), ("log_every", 0), ("evaluate_every", -5)])
def test_wrong_numbers_are_refused_before_any_work(name, value):
    with pytest.raises(ValueError, match=f"train needs {name} >= [01], got {value}"):
        measured(network_of(), **{name: value})


def test_two_probes_may_not_use_one_name():
    with pytest.raises(ValueError, match="two probes measure the same name: a"):
        merge([Reading(scalars={"a": 1.0}), Reading(scalars={"a": 2.0})])


def taken_at(step: int, network: Stack, task=TASK, **settings) -> dict:
    """The state of a training at a step that it measures."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    given = {"clip": no_clip, "steps": 12, "batch": 10, "generator": stream(0, "train"), "probes": [Profile()]}
    given |= {"validation": task.held_out("validation", 5, stream(0, "validation"), dtype=torch.float64)}
    given |= {"schedule": Decades(), "log_every": 4, "evaluate_every": 6, "stop_when_solved": False}
    return next(m.state() for m in train(network, task, optimizer, **{**given, **settings}) if m.step == step)


def test_a_state_is_not_changed_by_what_comes_after():
    """Neither by the training that it was taken of, nor by those that go on from it."""
    network = network_of()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    state = taken_at(4, network)
    first = measured(network, optimizer=lambda *_, **__: optimizer, resume=state)
    again = measured(network_of(seed=1), optimizer=torch.optim.Adam, resume=state)
    assert [m.step for m in first] == [4, 5, 6, 8, 10, 12]
    assert [m.scalars for m in first] == [m.scalars for m in again]


def test_a_task_that_was_solved_once_is_solved_after_a_resume(monkeypatch):
    answers = iter([True, False, False])
    monkeypatch.setattr(Adding, "solved", lambda self, metrics: next(answers))
    state = taken_at(8, network_of())
    *_, last = measured(network_of(), optimizer=torch.optim.Adam, resume=state, stop_when_solved=False)
    assert last.outcome == "solved"


def test_the_time_in_probes_goes_on_after_a_resume():
    state = {**taken_at(4, network_of()), "probe_seconds": 1000.0}
    found = measured(network_of(), optimizer=torch.optim.Adam, resume=state)
    assert all(1000 <= m.probe_seconds < 1100 for m in found)


def test_a_run_may_go_on_for_longer_and_not_from_beyond_its_end():
    state = taken_at(12, network_of())
    further = measured(network_of(), optimizer=torch.optim.Adam, resume=state, steps=16)
    assert [m.step for m in further] == [12, 16]
    with pytest.raises(ValueError, match="train needs to resume at a step <= steps = 8, got 12"):
        measured(network_of(), resume=state, steps=8)
