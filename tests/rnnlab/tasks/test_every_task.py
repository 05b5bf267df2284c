"""What holds for every task that a user can choose, with the settings that stand in its file."""

import dataclasses
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch

import rnnlab.tasks
from rnnlab.tasks.base import UNSCORED, Batch, Task, shifted
from tests.rnnlab.tasks.every import NAMES, is_binary, is_class, make, measured, noise, perfect, seeded, settings

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]
SPLITS = ("train", "validation", "test")
READOUTS = {
    "one-to-one": {"last"},
    "one-to-many": {"each", "decoder"},
    "many-to-one": {"last"},
    "many-to-many": {"each"},
    "sequence-to-sequence": {"decoder"},
}


def one_loss(task: Task, out: np.ndarray, target: np.ndarray) -> float:
    """The loss of one step of one sample, spelt out."""
    if target.dtype.kind == "i":
        return 0.0 if target == UNSCORED else np.log(np.exp(out).sum()) - out[target]
    if is_binary(task):
        p = 1 / (1 + np.exp(-out))
        return -(target * np.log(p) + (1 - target) * np.log(1 - p)).sum()
    return ((out - target) ** 2).sum()


def test_every_task_of_the_package_has_a_file_in_conf():
    assert {"adding", "copying", "temporal_order", "digits", "ecg", "connected_digits"} <= set(NAMES)
    modules = [m.name for m in pkgutil.iter_modules(rnnlab.tasks.__path__) if m.name not in ("base", "data")]
    for name in modules:
        module = importlib.import_module(f"rnnlab.tasks.{name}")
        own = [v for v in vars(module).values() if inspect.isclass(v) and v.__module__ == module.__name__]
        assert name in NAMES or not any(issubclass(cls, Task) for cls in own)


def test_each_file_defines_one_final_frozen_task_and_its_target_is_in_conf(name):
    package = "mylab" if name == "majority" else "rnnlab.tasks"
    module = importlib.import_module(f"{package}.{name}")
    classes = [cls for _, cls in inspect.getmembers(module, inspect.isclass) if cls.__module__ == module.__name__]
    tasks = [cls for cls in classes if issubclass(cls, Task)]
    assert [cls.__bases__ for cls in tasks] == [(Task,)]
    assert settings(name)["_target_"] == f"{module.__name__}.{tasks[0].__name__}"
    assert dataclasses.is_dataclass(tasks[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        make(name).length = 3


def test_every_setting_stands_in_conf_and_has_no_python_default(name):
    fields = dataclasses.fields(make(name))
    assert {field.name for field in fields} == set(settings(name)) - {"_target_"}
    assert all(field.default is field.default_factory is dataclasses.MISSING and field.kw_only for field in fields)


def test_a_task_can_be_hashed_and_equals_its_copy(name):
    assert len({make(name), make(name)}) == 1


@pytest.mark.parametrize("device", DEVICES)
def test_a_batch_has_the_shapes_that_the_task_declares(task, device):  # shapes are the contract with networks
    for ask in (task.draw, task.held_out):
        x, y, *_ = batch = ask("test", 3, seeded(0, device), dtype=torch.float64)
        assert x.shape == ((task.steps, 3, task.inputs) if x.is_floating_point() else (task.steps, 3))
        front = (3,) if task.readout == "last" else (len(task.scored), 3)
        assert y.shape == (front if is_class(y) else (*front, task.outputs))
        assert {v.device.type for name, v in batch._asdict().items() if name != "lengths" and v is not None} == {device}
        assert task.losses(perfect(task, y), y).shape == (len(task.scored), 3)


def test_tokens_and_classes_are_of_the_vocabulary(task):
    x, y, *_ = task.draw("train", 50, seeded())
    for values, count, least in ((x, task.inputs, 0), (y, task.outputs, UNSCORED)):
        if not values.is_floating_point():
            assert values.dtype == torch.int64
            assert least <= values.min() <= values.max() < count


def test_the_kind_says_where_the_answer_is_read_and_that_says_which_steps_are_scored(task):
    assert task.readout in READOUTS[task.kind]
    assert task.steps == 1 or task.kind != "one-to-one"
    assert (task.emitted > 0) == (task.readout == "decoder")
    T = task.steps
    assert (
        task.scored == {"last": range(T - 1, T), "each": range(T), "decoder": range(T, T + task.emitted)}[task.readout]
    )


def test_what_is_shorter_is_padded_with_zeros_and_not_scored(task):
    x, y, lengths, _ = task.draw("train", 50, seeded())
    if is_class(y):
        assert (y != UNSCORED).view(-1, 50).any(0).all()  # a mean over no steps would be NaN
    if lengths is None:
        return
    assert (lengths.dtype, lengths.device.type, lengths.shape) == (torch.int64, "cpu", (50,))
    assert 1 <= lengths.min() < lengths.max() <= task.steps
    assert is_class(y)  # a value has no way to say that it does not count
    for sample, length in enumerate(lengths.tolist()):
        assert not x[length:, sample].any()
        if task.readout == "each":
            assert y[length:, sample].eq(UNSCORED).all()


def test_a_decoder_is_given_its_target_one_step_later_and_the_target_ends_with_a_stop(task):
    _, y, _, given = task.draw("train", 50, seeded())
    assert (given is None) == (task.readout != "decoder")
    if given is not None:
        assert given.equal(shifted(y))
        for target in y.T.tolist():
            stop = target.index(0)
            assert min(target[:stop], default=1) > 0
            assert set(target[stop + 1 :]) <= {UNSCORED}


def test_what_a_decoder_writes_is_judged_up_to_its_first_stop(task):
    if task.readout == "decoder":
        y = task.draw("train", 50, seeded()).y
        right = torch.where(y == UNSCORED, 1, y)  # a network goes on writing
        assert task.written(right, y) == {"edit_error": 0, "sequence_error": 0}
        wrong = right.clone()
        wrong[0, 0] = 0 if y[0, 0] else 1
        assert task.written(wrong, y)["sequence_error"] == 1 / 50


def test_outputs_where_nothing_is_scored_have_no_influence(task):
    y = task.draw("train", 20, seeded()).y
    if not is_class(y):
        return
    hidden, outputs = y == UNSCORED, noise(task, y)
    other = torch.where(hidden.unsqueeze(-1), 1e3 * outputs.flip(-1), outputs)
    losses = task.losses(outputs, y)
    assert losses.view_as(y)[hidden].eq(0).all()
    assert losses.view_as(y)[~hidden].gt(0).all()
    assert task.losses(other, y).equal(losses)
    assert task.metrics(other, y) == task.metrics(outputs, y)


@pytest.mark.parametrize("ask", ["draw", "held_out"])
def test_draws_follow_the_generator_and_nothing_else(task, ask):
    def draw(seed: int, **options):
        return getattr(task, ask)("train", 4, seeded(seed), **options)

    def equal(one: Batch, other: Batch) -> bool:
        return all((a is b is None) or torch.equal(a, b) for a, b in zip(one, other, strict=True))

    before = torch.get_rng_state()
    reference = draw(3)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):  # a tensor made without device= would land there
            again = draw(3)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {v.dtype for v in (*reference[:2], *again[:2]) if v.is_floating_point()} <= {torch.float32}
    assert equal(again, reference)
    assert torch.equal(torch.get_rng_state(), before)
    assert not equal(task.draw("train", 4, seeded(4)), task.draw("train", 4, seeded(3)))


def test_both_dtypes_hold_the_same_numbers_up_to_rounding(task):
    single, double = (task.draw("train", 50, seeded(1), dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert {v.dtype for v in double[:2] if v.is_floating_point()} <= {torch.float64}
    torch.testing.assert_close(single.x.double(), double.x.double(), rtol=2**-23, atol=0)  # one rounding to float32
    torch.testing.assert_close(single.y.double(), double.y.double(), rtol=2**-22, atol=0)  # adding rounds twice


def test_two_draws_from_one_generator_differ(task):
    generator = seeded()
    assert not torch.equal(task.draw("train", 20, generator).y, task.draw("train", 20, generator).y)


def test_a_made_task_evaluates_on_fresh_samples_and_real_data_on_the_split(task):
    def targets(seed: int, split: str) -> bytes:
        return task.held_out(split, 50, seeded(seed)).y.numpy().tobytes()

    if "held_out" in vars(type(task)):
        assert targets(0, "test") == targets(1, "test")
        assert len({targets(0, split) for split in SPLITS}) == 3
    else:
        assert targets(0, "test") != targets(1, "test")
        assert task.held_out("test", 50, seeded(2)).y.equal(task.draw("train", 50, seeded(2)).y)


def test_the_reported_loss_is_what_a_loop_over_samples_and_steps_adds_up(task):
    y = task.draw("train", 5, seeded(), dtype=torch.float64).y
    outputs = noise(task, y)
    flat_out, flat_y = outputs.reshape(-1, 5, task.outputs), y.reshape(-1, 5, *(() if is_class(y) else (task.outputs,)))
    total = 0.0
    for sample in range(5):
        scored = int((flat_y[:, sample] != UNSCORED).sum()) if is_class(y) else len(task.scored)
        for step in range(len(task.scored)):
            loss = one_loss(task, flat_out[step, sample].numpy(), flat_y[step, sample].numpy())
            total += loss / 5 / (scored if task.reduction == "mean" else 1)
    assert task.metrics(outputs, y)["loss"] == pytest.approx(total, rel=1e-12)  # rounding of a float64 sum


def test_the_right_answer_solves_and_one_that_ignores_the_input_does_not(task):
    y = task.held_out("test", 200, seeded(), dtype=torch.float64).y
    right = measured(task, perfect(task, y), y)
    assert right["loss"] < 1e-12
    assert right["error"] == 0
    assert task.solved(right)
    constant = torch.full_like(y, y.mean().item()) if not (is_class(y) or is_binary(task)) else 0 * perfect(task, y)
    assert not task.solved(measured(task, constant, y))


def test_outputs_that_are_nan_never_solve(task):
    y = task.draw("test", 20, seeded(), dtype=torch.float64).y
    metrics = measured(task, torch.full_like(perfect(task, y), torch.nan), y)
    assert np.isnan(metrics["loss"])
    assert np.isnan(metrics["error"]) or metrics["error"] == 1
    assert not task.solved(metrics)


def test_metrics_are_plain_numbers_also_for_outputs_in_a_graph(task):
    y = task.draw("test", 3, seeded(), dtype=torch.float64).y
    metrics = task.metrics(noise(task, y).requires_grad_(), y)
    assert {"loss", "error"} <= set(metrics)
    assert {type(value) for value in metrics.values()} == {float}
