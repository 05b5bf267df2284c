"""The training loop: a generator of measurements, so that who records, draws or stops is the caller's business."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from rnnlab.networks import EncoderDecoder, Stack
from rnnlab.probes import Moment, Probe, Reading
from rnnlab.probes.gradients import counts, global_norm
from rnnlab.regularisers import Regulariser
from rnnlab.tasks.base import Batch, Task, counted

Outcome = Literal["solved", "stuck", "diverged"]
Clip = Callable[[Sequence[Tensor], float], bool]
ROWS = 200_000  # steps x samples that are evaluated at once


@dataclass(frozen=True)
class Measurement:
    """What is known at one step, before its update.

    Attributes:
        step: number of updates done so far.
        scalars: train/loss (mean over the batch), train/penalty of a regulariser, train/learning_rate, grad/norm of
            their sum before clipping, grad/clipped, grad/zeros, grad/nonfinite; validation/* where evaluated; the
            probes' digests where probed.
        reading: what the probes measured, merged; None where not probed.
        probe_seconds: spent in probes so far.
        outcome: None before the last measurement.
        state: gives all that `train(resume=...)` needs to do this very step again and go on; valid until the next
            measurement is asked for. What it returns is the caller's: tensors on the CPU and plain Python.
    """

    step: int
    scalars: dict[str, float]
    reading: Reading | None
    probe_seconds: float
    outcome: Outcome | None
    state: Callable[[], dict[str, Any]] = field(repr=False, compare=False)


def train(
    network: Stack | EncoderDecoder,
    task: Task,
    optimizer: torch.optim.Optimizer,
    *,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    regulariser: Regulariser | None = None,
    clip: Clip,
    steps: int,
    batch: int,
    generator: torch.Generator,
    validation: Batch,
    probes: Sequence[Probe],
    schedule: Callable[[int, int], bool],
    log_every: int,
    evaluate_every: int,
    stop_when_solved: bool,
    resume: Mapping[str, Any] | None = None,
) -> Iterator[Measurement]:
    """Train, and yield a measurement at every logged, evaluated or probed step and at the last one.

    Step n sees the network after n updates, so step 0 is the initialisation and step `steps` the trained network, which
    is measured and not updated. The outcome is `diverged` as soon as the loss or a gradient is not finite (nothing is
    updated with it), `solved` if an evaluation met the task's criterion, else `stuck`.

    Args:
        regulariser: gives what is added to the loss, from the pass and the loss of an update. Its gradient is added
            before the norm is taken and clipped.
        clip: changes gradients in place, given their global norm; returns whether it fired.
        generator: the stream of the training data.
        schedule: whether to probe, given the step and the last step. The last measurement is always probed.
        stop_when_solved: end at the evaluation that meets the criterion.
        resume: what `Measurement.state` gave in an earlier training with the same arguments. It goes on at that
            measurement, and every number is the same to the last bit as without the interruption.
    """
    positive = {"batch": batch, "log_every": log_every, "evaluate_every": evaluate_every}
    for name, value, least in (("steps", steps, 0), *((name, value, 1) for name, value in positive.items())):
        if value < least:
            raise ValueError(f"train needs {name} >= {least}, got {value}")
    if resume is not None and resume["step"] > steps:
        raise ValueError(f"train needs to resume at a step <= steps = {steps}, got {resume['step']}")
    stateful = {"network": network, "optimizer": optimizer} | ({"scheduler": scheduler} if scheduler else {})

    def measurements() -> Iterator[Measurement]:
        parameters = [p for p in network.parameters() if p.requires_grad]
        first, solved, probe_seconds = 0, False, 0.0
        if resume is not None:
            first, solved, probe_seconds = (resume[name] for name in ("step", "solved", "probe_seconds"))
            generator.set_state(resume["generator"])
            for name, part in stateful.items():
                part.load_state_dict(copied(resume[name]))

        def state() -> dict[str, Any]:
            parts = {name: copied(part.state_dict()) for name, part in stateful.items()}
            return {"step": step, "solved": solved, "probe_seconds": probe_seconds, "generator": before, **parts}

        for step in range(first, steps + 1):
            before = generator.get_state()
            drawn = task.draw("train", batch, generator, dtype=parameters[0].dtype)
            outputs, trajectory = network(**drawn.inputs)
            losses = task.losses(outputs, drawn.y)
            check(task, drawn.x, losses)
            sample_losses = task.sample_losses(losses, drawn.y)
            loss = sample_losses.mean()
            scalars = {"train/loss": loss.item(), "train/learning_rate": optimizer.param_groups[0]["lr"]}
            evaluated = step % evaluate_every == 0 or step == steps
            if evaluated:
                found = evaluate(network, task, validation)
                scalars |= {f"validation/{name}": value for name, value in found.items()}
                solved = solved or task.solved(found)
            optimizer.zero_grad()
            loss.backward(retain_graph=True)  # the probes differentiate the readout once more
            if regulariser is not None:
                penalty = regulariser(trajectory, loss)
                penalty.backward(retain_graph=True)  # a parametrised W has one graph for both
                scalars["train/penalty"] = penalty.item()
            grads = [p.grad for p in parameters if p.grad is not None]
            norm = global_norm(grads)
            diverged = not (math.isfinite(norm) and math.isfinite(scalars["train/loss"]))
            outcome = "diverged" if diverged else "solved" if solved and (stop_when_solved or step == steps) else None
            outcome = "stuck" if outcome is None and step == steps else outcome
            reading = None
            if outcome or schedule(step, steps):  # after backward, before step
                started = time.perf_counter()
                moment = Moment(step, network, trajectory, losses, sample_losses, task.scored, counted(drawn.y))
                reading = merge([probe(moment) for probe in probes])
                scalars |= reading.scalars
                probe_seconds += time.perf_counter() - started
            if outcome or reading or evaluated or step % log_every == 0:
                scalars |= {"grad/norm": norm, **counts(grads)}
            scalars["grad/clipped"] = float(not diverged and clip(grads, norm))
            if "grad/norm" in scalars:
                yield Measurement(step, scalars, reading, probe_seconds, outcome, state)
            if outcome:
                return
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            del outputs, trajectory, losses, sample_losses, loss  # before the next forward pass needs the room

    return measurements()  # so that wrong numbers are refused by the call itself, before the first is asked for


def copied(value: Any) -> Any:
    """Nested containers with every tensor copied to the CPU; a mapping becomes a plain dict."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(copied, value))
    return value


def check(task: Task, x: Tensor, losses: Tensor) -> None:
    """Refuse what would put the losses at the wrong time, or have torch broadcast them: a task that breaks its word."""
    wanted = [len(task.scored), x.shape[1]]
    if len(x) != task.steps or list(losses.shape) != wanted:
        got = f"{len(x)} steps and {list(losses.shape)}"
        raise ValueError(
            f"train needs x of {task.steps} steps and losses [T_y, B] = {wanted} of this task, got {got}: {task}"
        )


@torch.no_grad()
def evaluate(network: Stack | EncoderDecoder, task: Task, batch: Batch) -> dict[str, float]:
    """The task's metrics on a whole held-out batch, computed in chunks that bound the memory.

    Of a decoder also what it writes by itself: see `Task.written`.
    """
    if 0 in batch.x.shape:
        raise ValueError(f"evaluate needs a batch with steps and samples, got x of {list(batch.x.shape)}")
    size, B = max(1, ROWS // len(batch.x)), batch.x.shape[1]
    chunks = [
        {name: v[rows] if name == "lengths" else v[:, rows] for name, v in batch.inputs.items()}
        for rows in (slice(first, first + size) for first in range(0, B, size))
    ]
    metrics = task.metrics(torch.cat([network(**chunk)[0] for chunk in chunks], dim=-2), batch.y)
    if task.readout == "decoder":
        written = batch.y.new_zeros(batch.y.shape)
        for k, chunk in enumerate(chunks):
            del chunk["given"]
            tokens = network.generate(**chunk, steps=task.emitted)
            written[: len(tokens), k * size : k * size + tokens.shape[1]] = tokens
        metrics |= task.written(written, batch.y)
    return metrics


def merge(readings: Sequence[Reading]) -> Reading:
    """One reading out of those of several probes, which must not use the same name."""
    merged = Reading()
    for reading in readings:
        for mine, other in ((merged.scalars, reading.scalars), (merged.arrays, reading.arrays)):
            if taken := mine.keys() & other.keys():
                raise ValueError(f"two probes measure the same name: {', '.join(sorted(taken))}")
            mine.update(other)
        merged.axes.update(reading.axes)
    return merged


def no_clip(grads: Sequence[Tensor], norm: float) -> bool:
    """Leave the gradients as they are."""
    return False


def clip_norm(grads: Sequence[Tensor], norm: float, *, threshold: float) -> bool:
    """Scale all gradients to a global norm of at most `threshold` (Pascanu et al., 2013, algorithm 1)."""
    if norm <= threshold:
        return False
    torch._foreach_mul_(list(grads), threshold / norm)
    return True


def clip_value(grads: Sequence[Tensor], norm: float, *, threshold: float) -> bool:
    """Clamp each entry to [-threshold, threshold]."""
    fired = any(bool((g.abs() > threshold).any()) for g in grads)
    for g in grads if fired else ():
        g.clamp_(-threshold, threshold)
    return fired


def stream(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A random stream of its own for each purpose: `init`, `train`, `validation`, `test` of one seed share nothing."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
