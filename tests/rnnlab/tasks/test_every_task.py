"""What holds for every task: found by listing the package, with the settings of conf/task/NAME.yaml."""

import dataclasses
import importlib
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

import rnnlab.tasks
from rnnlab.tasks.base import Task

CONF = Path(__file__).parents[3] / "conf" / "task"
NAMES = [module.name for module in pkgutil.iter_modules(rnnlab.tasks.__path__) if module.name not in ("base", "data")]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]
SPLITS = ("train", "validation", "test")


def settings(name: str) -> dict:
    return yaml.safe_load((CONF / f"{name}.yaml").read_text())


def make(name: str, **changes) -> Task:
    values = settings(name) | changes
    module, _, cls = values.pop("_target_").rpartition(".")
    return getattr(importlib.import_module(module), cls)(**values)


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture
def task(name) -> Task:
    return make(name)


def seeded(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def is_class(y: Tensor) -> bool:
    return not y.is_floating_point()


def perfect(task: Task, y: Tensor) -> Tensor:
    return 100 * torch.nn.functional.one_hot(y, task.outputs).double() if is_class(y) else y.clone()


def noise(task: Task, y: Tensor) -> Tensor:
    shape = (*y.shape, task.outputs) if is_class(y) else y.shape
    return torch.randn(shape, generator=seeded(7), dtype=torch.float64)


def test_the_package_is_listed():
    assert {"adding", "copying", "temporal_order", "digits", "ecg", "connected_digits"} <= set(NAMES)


def test_each_file_defines_one_final_frozen_task_and_its_target_is_in_conf(name):
    module = importlib.import_module(f"rnnlab.tasks.{name}")
    tasks = [cls for _, cls in inspect.getmembers(module, inspect.isclass) if cls.__module__ == module.__name__]
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
        x, y, *_ = ask("test", 3, seeded(0, device), dtype=torch.float64)
        assert x.shape == (task.steps, 3, task.inputs)
        front = (3,) if task.readout == "last" else (len(task.scored), 3)
        assert y.shape == (front if is_class(y) else (*front, task.outputs))
        assert {x.device.type, y.device.type} == {device}
        assert task.losses(perfect(task, y), y).shape == (len(task.scored), 3)


def test_the_last_step_is_scored_and_only_it_when_read_last(task):
    assert task.scored == (range(task.steps - 1, task.steps) if task.readout == "last" else range(task.steps))


@pytest.mark.parametrize("ask", ["draw", "held_out"])
def test_draws_follow_the_generator_and_nothing_else(task, ask):
    def draw(seed: int, **options):
        return getattr(task, ask)("train", 4, seeded(seed), **options)

    before = torch.get_rng_state()
    reference = draw(3)
    assert reference.x.dtype == torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):  # a tensor made without device= would land there
            again = draw(3)
    finally:
        torch.set_default_dtype(torch.float32)
    assert again.x.dtype == torch.float32
    assert torch.equal(again.x, reference.x)
    assert torch.equal(again.y, reference.y)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(task.draw("train", 4, seeded(4)).x, task.draw("train", 4, seeded(3)).x)


def test_both_dtypes_hold_the_same_numbers_up_to_rounding(task):
    single, double = (task.draw("train", 50, seeded(1), dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert double.x.dtype == torch.float64
    torch.testing.assert_close(single.x.double(), double.x, rtol=2**-23, atol=0)  # one rounding to float32
    torch.testing.assert_close(single.y.double(), double.y.double(), rtol=2**-22, atol=0)  # adding rounds twice


def test_two_draws_from_one_generator_differ(task):
    generator = seeded()
    assert not torch.equal(task.draw("train", 20, generator).y, task.draw("train", 20, generator).y)


def test_a_made_task_evaluates_on_fresh_samples_and_real_data_on_the_split(task):
    def targets(seed: int, split: str) -> bytes:
        return task.held_out(split, 50, seeded(seed)).y.numpy().tobytes()

    if hasattr(inspect.getmodule(type(task)), "data"):
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
    for step in range(len(task.scored)):
        for sample in range(5):
            out, target = flat_out[step, sample].numpy(), flat_y[step, sample].numpy()
            loss = np.log(np.exp(out).sum()) - out[target] if is_class(y) else ((out - target) ** 2).sum()
            total += loss / 5 / (len(task.scored) if task.reduction == "mean" else 1)
    assert task.metrics(outputs, y)["loss"] == pytest.approx(total, rel=1e-12)  # rounding of a float64 sum


def test_the_right_answer_solves_and_one_that_ignores_the_input_does_not(task):
    y = task.held_out("test", 200, seeded(), dtype=torch.float64).y
    right = task.metrics(perfect(task, y), y)
    assert right["loss"] < 1e-12
    assert right["error"] == 0
    assert task.solved(right)
    constant = torch.zeros_like(perfect(task, y)) if is_class(y) else torch.full_like(y, y.mean().item())
    assert not task.solved(task.metrics(constant, y))


def test_outputs_that_are_nan_never_solve(task):
    y = task.draw("test", 20, seeded(), dtype=torch.float64).y
    metrics = task.metrics(torch.full_like(perfect(task, y), torch.nan), y)
    assert np.isnan(metrics["loss"])
    assert np.isnan(metrics["error"]) or metrics["error"] == 1
    assert not task.solved(metrics)


def test_metrics_are_plain_numbers_also_for_outputs_in_a_graph(task):
    y = task.draw("test", 3, seeded(), dtype=torch.float64).y
    metrics = task.metrics(noise(task, y).requires_grad_(), y)
    assert {"loss", "error"} <= set(metrics)
    assert {type(value) for value in metrics.values()} == {float}


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("length", ["abc", "50", 50.5, 50.0, True, None, 0, -3])
def test_a_length_that_is_not_a_natural_number_is_refused(name, length):
    with pytest.raises(ValueError, match=rf"^{name} needs .*length.*, got {length!r}$"):
        make(name, length=length)


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("value", [0, -0.1, float("nan"), float("inf"), "0.1", True, None])
def test_a_threshold_that_is_not_positive_is_refused(name, value):
    for setting in settings(name):
        if setting.startswith("solved_") or setting == "tolerance":
            with pytest.raises(ValueError, match=rf"^{name} needs {setting} to be a number > 0, got "):
                make(name, **{setting: value})


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("setting", ["reduction", "marks"])
def test_an_unknown_choice_is_refused_and_the_choices_are_named(name, setting):
    if setting in settings(name):
        with pytest.raises(ValueError, match=rf"^{name} needs {setting} to be one of \w+, \w+, got 'median'$"):
            make(name, **{setting: "median"})


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("ask", ["draw", "held_out"])
def test_a_request_without_samples_or_of_no_split_is_refused(task, name, ask):
    with pytest.raises(ValueError, match=rf"^{name} needs size >= 1 to draw a sample, got 0$"):
        getattr(task, ask)("train", 0, seeded())
    with pytest.raises(ValueError, match=rf"^{name} needs split to be one of train, validation, test, got 'dev'$"):
        getattr(task, ask)("dev", 1, seeded())
