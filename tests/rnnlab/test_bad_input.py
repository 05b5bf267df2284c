"""Bad input at every public entry: a ValueError that names the argument, the rule and what came, before any work."""

import math
import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnlab.cells import LSTM
from rnnlab.networks import EncoderDecoder, Stack, adjoints
from rnnlab.scan import adjoint_scan, scan
from rnnlab.tasks.base import Batch, binary_cross_entropy, cross_entropy, error_rate, squared_error, wrong_bits
from rnnlab.train import evaluate, no_clip, train
from tests.rnnlab.oracles import SHALLOW
from tests.rnnlab.tasks.every import NAMES, is_class, make, noise, perfect, seeded

pytestmark = pytest.mark.usefixtures("as_a_user")


def network_of(readout: str, inputs: int = 3, outputs: int = 2) -> Stack | EncoderDecoder:
    kind = EncoderDecoder if readout == "decoder" else Stack
    sizes = {"inputs": inputs, "outputs": outputs, "hidden": 4, "depth": 1, "direction": "forward"}
    return kind(LSTM, **sizes, readout=readout, **SHALLOW)


def whole(*rows: Any) -> Tensor:
    return torch.tensor(rows)


class Bench(SimpleNamespace):
    """Good values of everything, T = 5, B = 2, I = 3, S = 8, O = 2, T_y = 4: each case below spoils one of them."""

    def __init__(self):
        cell, stack = LSTM(3, 4), network_of("each")
        x, tokens, given = torch.randn(5, 2, 3), torch.zeros(5, 2, dtype=torch.long), torch.zeros(4, 2).long()
        path, trajectory = scan(cell, x)[2], stack(x)[1]
        d, last = torch.zeros_like(trajectory.out), torch.zeros(2, 8)
        logits, y = torch.randn(4, 2, 3), whole([0, 1], [2, 0], [-1, 1], [-1, -1])
        mine = {k: v for k, v in locals().items() if k != "self" and not k.startswith("__")}
        super().__init__(**mine, coder=network_of("decoder"))

    def spoilt(self, value: float) -> Tensor:
        x = self.x.clone()
        x[2, 1, 0] = value
        return x


NEEDS = "x of numbers [T >= 1, B >= 1, I = 3] or tokens [T >= 1, B >= 1] of torch.int64, got"
STATES = "states (layer, direction): [B, S] with S of {(0, 'forward'): 8}, got"
GIVEN = "encoder_decoder needs given of torch.int64 [T_y >= 1, B = 2], got"
HOLE = "encoder_decoder needs -1 in given behind the end of a sample"
CASES = {
    "scan: two axes": (lambda b: scan(b.cell, b.x[0]), "scan needs x of shape [T >= 1, B >= 1, I = 3], got [2, 3]"),
    "scan: no steps": (lambda b: scan(b.cell, b.x[:0]), "got [0, 2, 3]"),
    "scan: no samples": (lambda b: scan(b.cell, b.x[:, :0]), "got [5, 0, 3]"),
    "scan: other inputs": (lambda b: scan(b.cell, b.x[..., :2]), "got [5, 2, 2]"),
    "scan: s_0 of one sample": (lambda b: scan(b.cell, b.x, b.last[:1]), "s_0 of shape [B, S] = [2, 8], got [1, 8]"),
    "scan: s_0 of another dtype": (
        lambda b: scan(b.cell, b.x, b.last.float()),
        "scan needs s_0 of x's torch.float64, got torch.float32",
    ),
    "scan: a sample of length 0": (
        lambda b: scan(b.cell, b.x, spans=whole([0, 0], [5, 0])),
        "scan needs spans [2, B = 2] with 0 <= first < stop <= T = 5, got [[0, 0], [5, 0]]",
    ),
    "scan: broken spans": (lambda b: scan(b.cell, b.x, spans=whole([0.0, 0.0], [5.0, 2.0])), "got [[0.0, 0.0], [5.0,"),
    "adjoint_scan: a step short": (
        lambda b: adjoint_scan(b.cell, b.path, torch.zeros(5, 2, 8)),
        "adjoint_scan needs direct of shape [6, 2, 8], got [5, 2, 8]",
    ),
    "adjoint_scan: one sample": (lambda b: adjoint_scan(b.cell, b.path, torch.zeros(6, 1, 8)), "got [6, 1, 8]"),
    "adjoints: a step short": (lambda b: adjoints(b.trajectory, b.d[1:]), "d_out of shape [5, 2, 4], got [4, 2, 4]"),
    "adjoints: steps to spare": (lambda b: adjoints(b.trajectory, torch.cat([b.d, b.d])), "got [10, 2, 4]"),
    "adjoints: one sample": (lambda b: adjoints(b.trajectory, b.d[:, :1]), "got [5, 1, 4]"),
    "adjoints: last of one sample": (
        lambda b: adjoints(b.trajectory, b.d, {(0, "forward"): b.last[:1]}),
        "d_last of shapes {(0, 'forward'): [2, 8]}, got (0, 'forward'): [1, 8]",
    ),
    "adjoints: no such layer": (lambda b: adjoints(b.trajectory, b.d, {(1, "forward"): b.last}), "got (1, 'forward')"),
    "stack: one sample alone": (lambda b: b.stack(b.x[:, 0]), f"stack needs {NEEDS} torch.float64 of [5, 3]"),
    "stack: no steps": (lambda b: b.stack(b.x[:0]), f"stack needs {NEEDS} torch.float64 of [0, 2, 3]"),
    "stack: no samples": (lambda b: b.stack(b.x[:, :0]), f"stack needs {NEEDS} torch.float64 of [5, 0, 3]"),
    "stack: other inputs": (lambda b: b.stack(b.x[..., :2]), f"stack needs {NEEDS} torch.float64 of [5, 2, 2]"),
    "stack: tokens of bool": (lambda b: b.stack(b.tokens > 0), f"stack needs {NEEDS} torch.bool of [5, 2]"),
    "stack: short tokens": (lambda b: b.stack(b.tokens.int()), f"stack needs {NEEDS} torch.int32 of [5, 2]"),
    "stack: no tokens": (lambda b: b.stack(b.tokens[:0]), f"stack needs {NEEDS} torch.int64 of [0, 2]"),
    "stack: a token above": (lambda b: b.stack(b.tokens + 3), "stack needs tokens from 0 to 2 in x, got 3"),
    "stack: a token below": (lambda b: b.stack(b.tokens - 1), "stack needs tokens from 0 to 2 in x, got -1"),
    "stack: NaN": (
        lambda b: b.stack(b.spoilt(math.nan)),
        "stack needs finite numbers in x, got NaN at step 2 of sample 1, input 0",
    ),
    "stack: inf": (lambda b: b.stack(b.spoilt(-math.inf)), "got inf at step 2 of sample 1, input 0"),
    "stack: another dtype": (
        lambda b: b.stack(b.x.float()),
        "stack needs x of its parameters' torch.float64, got torch.float32",
    ),
    "stack: length 0": (lambda b: b.stack(b.x, whole(5, 0)), "stack needs B = 2 lengths from 1 to T = 5, got [5, 0]"),
    "stack: length above T": (lambda b: b.stack(b.x, whole(6, 1)), "got [6, 1]"),
    "stack: one length": (lambda b: b.stack(b.x, whole(5)), "got [5]"),
    "stack: broken lengths": (lambda b: b.stack(b.x, whole(5.0, 2.0)), "got [5.0, 2.0]"),
    "stack: NaN is no padding": (lambda b: b.stack(b.spoilt(math.nan), whole(2, 3)), "got NaN at step 2 of sample 1"),
    "stack: state of no layer": (
        lambda b: b.stack(b.x, None, {(0, "backward"): b.last}),
        f"stack needs {STATES} (0, 'backward'): [2, 8]",
    ),
    "stack: h without c": (lambda b: b.stack(b.x, None, {(0, "forward"): b.last[:, :4]}), "(0, 'forward'): [2, 4]"),
    "stack: state of one sample": (lambda b: b.stack(b.x, None, {(0, "forward"): b.last[:1]}), "got [1, 8]"),
    "stream: a whole sequence": (lambda b: b.stack.stream()(b.x), "stack needs x of numbers"),
    "stream: NaN": (lambda b: b.stack.stream()(b.spoilt(math.nan)[2]), "got NaN at step 0 of sample 1, input 0"),
    "stream: no samples": (lambda b: b.stack.stream()(b.x[0, :0]), "torch.float64 of [1, 0, 3]"),
    "stream: a token above": (lambda b: b.stack.stream()(b.tokens[0] + 3), "tokens from 0 to 2 in x, got 3"),
    "stream: state of no layer": (lambda b: b.stack.stream({(1, "forward"): b.last}), f"{STATES} (1, 'forward')"),
    "stream: more samples": (
        lambda b: b.stack.stream({(0, "forward"): b.last[:1]})(b.x[0]),
        "stream needs the B = 1 samples that it began with, got 2",
    ),
    "decoder: given of one sample": (lambda b: b.coder(b.x, given=b.given[:, :1]), f"{GIVEN} torch.int64 of [4, 1]"),
    "decoder: nothing given": (lambda b: b.coder(b.x, given=b.given[:0]), f"{GIVEN} torch.int64 of [0, 2]"),
    "decoder: numbers given": (lambda b: b.coder(b.x, given=b.given / 1), f"{GIVEN} torch.float64 of [4, 2]"),
    "decoder: a token above": (lambda b: b.coder(b.x, given=b.given + 2), "tokens from 0 to 1 in given, or -1, got 2"),
    "decoder: a token below": (lambda b: b.coder(b.x, given=b.given - 2), "tokens from 0 to 1 in given, or -1, got -2"),
    "decoder: a sample of length 0": (lambda b: b.coder(b.x, given=whole([0, -1], [1, -1])), HOLE),
    "decoder: a hole": (lambda b: b.coder(b.x, given=whole([0, 0], [-1, 1], [1, 1])), HOLE),
    "decoder: NaN": (lambda b: b.coder(b.spoilt(math.nan), given=b.given), "got NaN at step 2 of sample 1, input 0"),
    "decoder: no steps": (lambda b: b.coder(b.x[:0], given=b.given), f"{NEEDS} torch.float64 of [0, 2, 3]"),
    "generate: no steps": (lambda b: b.coder.generate(b.x, steps=0), "generate needs steps >= 1, got 0"),
    "generate: no samples": (lambda b: b.coder.generate(b.x[:, :0], steps=3), "torch.float64 of [5, 0, 3]"),
    "generate: length 0": (
        lambda b: b.coder.generate(b.x, whole(5, 0), steps=3),
        "lengths from 1 to T = 5, got [5, 0]",
    ),
    "cross entropy: no samples": (
        lambda b: cross_entropy(b.logits[:, :0], b.y[:, :0]),
        "cross_entropy needs at least one step, sample and output, got outputs (4, 0, 3)",
    ),
    "cross entropy: no steps": (lambda b: cross_entropy(b.logits[:0], b.y[:0]), "got outputs (0, 2, 3)"),
    "cross entropy: batch first": (
        lambda b: cross_entropy(b.logits.transpose(0, 1), b.y),
        "cross_entropy needs outputs of y's shape (4, 2) and an axis of classes, got (2, 4, 3)",
    ),
    "cross entropy: last of each": (lambda b: cross_entropy(b.logits[-1], b.y), "an axis of classes, got (2, 3)"),
    "cross entropy: a class above": (lambda b: cross_entropy(b.logits, b.y + 1), "targets from 0 to 2, or -1, got 3"),
    "cross entropy: a class below": (lambda b: cross_entropy(b.logits, b.y - 1), "targets from 0 to 2, or -1, got -2"),
    "cross entropy: broken classes": (
        lambda b: cross_entropy(b.logits, b.y / 1),
        "cross_entropy needs classes of torch.int64 as y, got torch.float64",
    ),
    "binary: no samples": (
        lambda b: binary_cross_entropy(b.logits[:, :0], b.logits[:, :0]),
        "binary_cross_entropy needs at least one step, sample and output, got outputs (4, 0, 3)",
    ),
    "binary: NaN": (lambda b: binary_cross_entropy(b.logits, math.nan * b.logits), "needs targets 0 or 1, got nan"),
    "binary: classes": (lambda b: binary_cross_entropy(b.logits[..., 0], b.y), "needs numbers as y, got torch.int64"),
    "squares: no samples": (lambda b: squared_error(b.logits[:, :0], b.logits[:, :0]), "got outputs (4, 0, 3)"),
    "squares: NaN": (
        lambda b: squared_error(b.logits, math.nan * b.logits),
        "squared_error needs finite targets, got nan",
    ),
    "error rate: would broadcast": (lambda b: error_rate(b.logits[:1], b.y), "an axis of classes, got (1, 2, 3)"),
    "error rate: nothing counts": (lambda b: error_rate(b.logits[-1:], b.y[-1:]), "needs a target that counts, got"),
    "wrong bits: would broadcast": (
        lambda b: wrong_bits(b.logits[:1], b.logits),
        "wrong_bits needs outputs of y's shape (4, 2, 3), got (1, 2, 3)",
    ),
    "mean: a sample where nothing counts": (
        lambda b: make("copying", reduction="mean").sample_losses(torch.ones(2, 2), b.y[2:]),
        "a mean over steps needs a target that counts in every sample, sample 0 has none",
    ),
    "written: other samples": (
        lambda b: make("reverse").written(b.given[:, :1], b.given),
        "written needs tokens [T, B] and y [T_y >= 1, B >= 1] of the same samples, got [4, 1] and [4, 2]",
    ),
    "evaluate: no samples": (
        lambda b: evaluate(b.stack, make("adding"), Batch(b.x[:, :0], b.x[:, :0])),
        "evaluate needs a batch with steps and samples, got x of [5, 0, 3]",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_by_argument_rule_and_value(case):
    attempt, message = CASES[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        attempt(Bench())


def test_the_good_values_that_the_cases_spoil_are_taken():
    b = Bench()
    scan(b.cell, b.x, b.last, spans=whole([0, 0], [5, 1]))
    adjoint_scan(b.cell, b.path, torch.zeros(6, 2, 8))
    adjoints(b.trajectory, b.d, {(0, "forward"): b.last})
    b.stack(b.spoilt(math.nan), whole(5, 2), {(0, "forward"): b.last})  # NaN behind the end of a sample is padding
    b.stack(b.tokens)
    b.stack.stream({(0, "forward"): b.last})(b.x[0])
    b.coder(b.x, given=whole([0, 0], [1, -1]))
    b.coder.generate(b.x, steps=1)
    assert error_rate(b.logits, b.y) == pytest.approx(error_rate(b.logits[:3], b.y[:3]))
    assert math.isnan(squared_error(math.nan * b.logits, b.logits).sum())  # a network may diverge, a target may not


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ask", ["losses", "metrics"])
def test_a_task_takes_outputs_of_its_own_shape_alone(name, ask):
    """Each of these would be broadcast by a subtraction or an argmax, or fail in the middle of one."""
    task = make(name)
    y = task.draw("train", 3, seeded(), dtype=torch.float64).y
    right = noise(task, y)
    wrong = [right[..., :1, :], right[..., :2, :], right[..., :0, :], right[None], right[..., 0]]
    wrong += [right[:1], right[:0], right.transpose(0, 1)] if task.readout != "last" and len(y) > 1 else []
    wrong += [] if is_class(y) else [torch.cat([right, right], -1)]
    for outputs in wrong:
        with pytest.raises(ValueError, match=r"needs (outputs of y's shape|at least one)"):
            getattr(task, ask)(outputs, y)
    beyond = perfect(task, y)[..., :0]
    with pytest.raises(ValueError, match=r"needs (outputs of y's shape|at least one step, sample and output)"):
        getattr(task, ask)(beyond, y)


@dataclass(frozen=True)
class Spoilt:
    """A task that is right but for what one change makes of its batches or losses."""

    task: Any
    batch: Any = lambda batch: batch
    loss: Any = lambda losses: losses

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def draw(self, *args: Any, **settings: Any) -> Batch:
        return self.batch(self.task.draw(*args, **settings))

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        return self.loss(self.task.losses(outputs, y))


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ({"batch": lambda b: b._replace(x=b.x * math.nan)}, "stack needs finite numbers in x, got NaN at step 0 of"),
        ({"batch": lambda b: b._replace(y=b.y * math.nan)}, "squared_error needs finite targets, got nan"),
        ({"batch": lambda b: b._replace(y=b.y[:1])}, "squared_error needs outputs of y's shape (1, 1), got (3, 1)"),
        (
            {"batch": lambda b: b._replace(x=b.x[1:])},
            "x of 6 steps and losses [T_y, B] = [1, 3] of this task, got 5",
        ),
        ({"loss": lambda v: v[0]}, "needs x of 6 steps and losses [T_y, B] = [1, 3] of this task, got 6 steps and [3]"),
        ({"loss": lambda v: v.mean()}, "got 6 steps and []"),
    ],
)
def test_a_task_that_breaks_its_word_is_refused_before_the_first_update(spoilt, message):
    task = make("adding", length=6)
    network = network_of("last", task.inputs, task.outputs)
    for p in network.parameters():
        nn.init.normal_(p)
    before = [p.detach().clone() for p in network.parameters()]
    run = train(
        network,
        Spoilt(task, **spoilt),
        torch.optim.SGD(network.parameters(), 0.1),
        clip=no_clip,
        steps=3,
        batch=3,
        generator=seeded(),
        validation=task.draw("validation", 3, seeded(), dtype=torch.float64),
        probes=[],
        schedule=lambda *_: False,
        log_every=1,
        evaluate_every=1,
        stop_when_solved=False,
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        next(run)
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before, strict=True))
