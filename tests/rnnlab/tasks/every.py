"""Every task that a user can choose, with the settings that stand in its file, and answers to give to it."""

import importlib
import inspect

import torch
import yaml
from torch import Tensor

from rnnlab.tasks.base import Task
from tests.choices import files
from tests.rnnlab.tasks import idx

NAMES = list(files("task"))


def settings(name: str) -> dict:
    return yaml.safe_load(files("task")[name].read_text())


def make(name: str, **changes) -> Task:
    values = settings(name) | ({"folder": idx.fabricated()} if name == "mnist" else {}) | changes
    module, _, cls = values.pop("_target_").rpartition(".")
    return getattr(importlib.import_module(module), cls)(**values)


def seeded(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def is_class(y: Tensor) -> bool:
    return not y.is_floating_point()


def is_binary(task: Task) -> bool:
    return hasattr(inspect.getmodule(type(task)), "binary_cross_entropy")


def perfect(task: Task, y: Tensor) -> Tensor:
    if is_class(y):
        return 100 * torch.nn.functional.one_hot(y.clamp_min(0), task.outputs).double()
    return 100 * (2 * y - 1) if is_binary(task) else y.clone()


def noise(task: Task, y: Tensor) -> Tensor:
    shape = (*y.shape, task.outputs) if is_class(y) else y.shape
    return torch.randn(shape, generator=seeded(7), dtype=torch.float64)


def measured(task: Task, outputs: Tensor, y: Tensor) -> dict[str, float]:
    """What is known when `solved` is asked; what a decoder writes by itself is here the best of what it was taught."""
    alone = task.written(outputs.argmax(-1), y) if task.readout == "decoder" else {}
    return task.metrics(outputs, y) | alone
