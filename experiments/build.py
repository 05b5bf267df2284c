"""From configuration nodes to objects: the only place that instantiates anything."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from hydra.errors import CompactHydraException
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from experiments.tracking import Timed
from rnnlab.cells import Cell
from rnnlab.networks import EncoderDecoder, Stack
from rnnlab.probes import Probe
from rnnlab.tasks.base import Batch, Task
from rnnlab.train import Measurement, stream, train


class BadInput(CompactHydraException, ValueError):
    """A configuration that cannot be run; the message says what to do, and Hydra prints it without a traceback."""


@dataclass(frozen=True)
class Bench:
    """Everything that one run needs, checked before any work.

    Attributes:
        measurements: the training itself, as `measurements(resume=...)`; nothing is trained before the first is asked
            for.
    """

    network: Stack | EncoderDecoder
    task: Task
    test: Batch
    measurements: Callable[..., Iterator[Measurement]]
    tracker: Timed


PLAIN = {int: Integral, float: Real, str: str, bool: bool}
STREAMS = {"init": "init", "train": "order", "validation": "data", "test": "data"}  # and which seed each has
OF_THE_SHELL = {"name": str, "device": str, "dtype": str, "checkpoint_seconds": float}
OF_THE_SHELL |= dict.fromkeys(("seed", "held_out", "threads"), int)
KINDS = {"cell": Cell, "task": Task, "probes": Probe}  # what users write themselves


def build(cfg: DictConfig) -> Bench:
    """All objects of a run, on its device; raises BadInput naming the key, the rule and the value."""
    hints = get_type_hints(train)
    for name, hint in {**OF_THE_SHELL, **{name: hints[name] for name in hints.keys() & cfg.keys()}}.items():
        if not isinstance(cfg[name], DictConfig) and not fits(cfg[name], hint):
            raise BadInput(f"{name}: needs {readable(hint)}, got {cfg[name]!r}")
    for name, seed in cfg.seeds.items():
        if name not in STREAMS.values() or not fits(seed, int):
            known = ", ".join(sorted(set(STREAMS.values())))
            raise BadInput(f"seeds: needs a whole number for each of {known}, got {name}: {seed!r}")
    device, dtype = place(cfg.device), precision(cfg.dtype)
    streams = {name: stream(cfg.seeds[of], name, device) for name, of in STREAMS.items()}
    task = make(cfg, "task")
    with blame("held_out"):
        validation, test = (task.held_out(n, cfg.held_out, streams[n], dtype=dtype) for n in ("validation", "test"))
    network = make_network(cfg, task, streams["init"])
    optimizer = make(cfg, "optimizer", params=network.parameters())
    with blame("train"):
        measurements = partial(
            train,
            network,
            task,
            optimizer,
            scheduler=make(cfg, "scheduler", optimizer=optimizer),
            regulariser=make(cfg, "regulariser", network),
            clip=maker(cfg, "clip"),
            generator=streams["train"],
            validation=validation,
            probes=[make(cfg, f"probes.{name}") for name in cfg.probes],
            schedule=make(cfg, "schedule"),
            **{name: cfg[name] for name in ("steps", "batch", "log_every", "evaluate_every", "stop_when_solved")},
        )
        measurements()  # which refuses wrong numbers, and does no more
    return Bench(network, task, test, measurements, Timed(make(cfg, "tracker")))


def make_objective(cfg: DictConfig) -> Callable[[Callable[..., dict[str, Any]]], float]:
    """What a search looks for: a function of how to train."""
    return maker(cfg, "objective")


def make_network(cfg: DictConfig, task: Task, generator: torch.Generator) -> Stack | EncoderDecoder:
    """The network of a configuration, as wide as the task asks, initialised and under its constraint."""
    sizes = {"inputs": task.inputs, "outputs": task.outputs, "readout": task.readout}
    network = make(cfg, "network", cell=lambda *of_layer: make(cfg, "cell", *of_layer), **sizes)
    network.to(generator.device, precision(cfg.dtype))
    recurrent, bias = maker(cfg, "init"), maker(cfg, "gate_bias")

    def gate_bias(*biases: Any, **runtime: Any) -> None:
        with blame("gate_bias"):
            bias(*biases, **runtime)

    with blame("init"):
        network.initialise(recurrent, generator, gate_bias=gate_bias)
    if "feed_init" in cfg:
        with blame("feed_init"):
            maker(cfg, "feed_init")(feeds(network), generator=generator)
    with blame("constraint"):
        constrain = maker(cfg, "constraint")
        for cell in network.cells():
            constrain(cell)
    return network


def feeds(network: Stack | EncoderDecoder) -> dict[str, Tensor]:
    """All matrices but the recurrent ones: of the input, between layers and maps, of the readout."""
    recurrent = {id(cell.get_parameter(name)) for cell in network.cells() for name in cell.recurrents}
    return {name: p for name, p in network.named_parameters() if p.ndim == 2 and id(p) not in recurrent}


@contextmanager
def blame(key: str) -> Iterator[None]:
    """Turn the library's complaint about a value into one about the key that it came from."""
    try:
        yield
    except BadInput:
        raise
    except (ValueError, TypeError, OSError) as error:
        raise BadInput(f"{key}: {error}") from error


def make(cfg: DictConfig, key: str, *args: Any, **runtime: Any) -> Any:
    """The object of one node, with what the file cannot know given at call time."""
    with blame(key):
        found = maker(cfg, key)(*args, **runtime)
        kind = KINDS.get(key.partition(".")[0], object)
        if not isinstance(found, kind):
            got = f"{type(found).__module__}.{type(found).__qualname__}"
            raise ValueError(f"needs a {kind.__name__} as in {kind.__module__}, got {got}")
        return found


def maker(cfg: DictConfig, key: str) -> Any:
    """The class or function of one node with its values bound; the values are checked against its annotations."""
    node = OmegaConf.select(cfg, key)
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise BadInput(f"{key}: needs _target_, the import path of a class or a function, and its settings, got {node}")
    values = OmegaConf.to_container(node, resolve=True)
    target = values.pop("_target_")
    try:
        found = get_method(target)
    except Exception as error:
        raise BadInput(f"{key}._target_: cannot import {target!r}: {error}") from error
    check(key, found, values)
    return instantiate(node, _partial_=True, _convert_="all")


def check(key: str, target: Any, values: Mapping[str, Any]) -> None:
    """Refuse keys that the target does not take, and numbers, words and switches of the wrong type."""
    known = inspect.signature(target).parameters
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except NameError:  # of a name that is there for a type checker alone
        hints = {}
    for name, value in values.items():
        if name not in known and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            raise BadInput(f"{key}.{name}: {target.__name__} takes no such setting, only {', '.join(known)}")
        if not fits(value, hints.get(name, Any)):
            raise BadInput(f"{key}.{name}: needs {readable(hints[name])}, got {value!r}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value from YAML can be what the annotation says; True for annotations beyond plain values."""
    if get_origin(hint) in (Union, UnionType):
        return any(fits(value, option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint in PLAIN:
        return isinstance(value, PLAIN[hint]) and (hint is bool or not isinstance(value, bool))
    return value is None if hint is NoneType else True


def readable(hint: Any) -> str:
    words = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}
    return (
        "one of " + ", ".join(map(str, get_args(hint))) if get_origin(hint) is Literal else words.get(hint, str(hint))
    )


def place(name: str) -> torch.device:
    """The device of that name; `auto` is CUDA if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BadInput(f"device: needs auto, cpu, cuda or cuda:N, got {name!r}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadInput(f"device: needs one of the {torch.cuda.device_count()} CUDA devices found here, got {name!r}")
    return device


def precision(name: str) -> torch.dtype:
    known = {"float32": torch.float32, "float64": torch.float64}
    if name not in known:
        raise BadInput(f"dtype: needs one of {', '.join(known)}, got {name!r}")
    return known[name]
