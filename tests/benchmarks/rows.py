"""The rows of `make scores`: a run, its bar, and what stands beside it."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from rnnlab.tasks.base import Task
from tests.benchmarks.references import Reference, tfidf, trigram_bits, trigram_nats

COMMON = "name=scores stop_when_solved=false device=cpu"
EMBEDDED = "network.input_layers=1 network.activation=identity"

Unit = Literal["accuracy", "edit_error", "bits", "nats_per_token"]  # all but the first are better if lower


class Row(NamedTuple):
    """A run and what it has to reach.

    Attributes:
        bar: None: the value of the reference, `margin` worse.
        reference: what stands beside it, given the task. Fixed ones are single short runs of other programs, before
            this one, on splits of their own: good to two digits at most.
        overrides: what is typed behind `python -m experiments.train`, without COMMON.
        ships: False: its data do not, and it is skipped where they are not.
    """

    name: str
    unit: Unit
    bar: float | None
    reference: Callable[[Task], Reference]
    overrides: str
    margin: float = 0.0
    ships: bool = True


def fixed(value: float, whose: str) -> Callable[[Task], Reference]:
    return lambda task: Reference(value, whose)


def updates(count: int, lr: float) -> str:
    """That many, with a rate that falls to 0 along a cosine; the validation split is looked at five times."""
    return f"steps={count} evaluate_every={-(-count // 4)} optimizer.lr={lr} scheduler=cosine scheduler.T_max={count}"


ROWS = [
    Row(
        "digits_elman",
        "accuracy",
        0.82,
        fixed(0.850, "a plain tanh RNN of 64 units, 39 s; logistic regression .928"),
        f"task=digits cell=elman batch=50 {updates(3000, 0.002)}",
    ),
    Row(
        "digits_gru",
        "accuracy",
        0.82,
        fixed(0.81, "a plain GRU of 64 units, not converged; logistic regression .928"),
        f"task=digits cell=gru batch=50 {updates(1700, 0.005)}",
    ),
    Row(
        "spoken_lstm",
        "accuracy",
        0.97,
        fixed(0.930, "logistic regression on mean and deviation of the frames"),
        f"task=spoken_digits cell=lstm network.direction=bidirectional batch=32 held_out=600 {updates(1500, 0.003)}",
    ),
    Row(
        "spoken_gru",
        "accuracy",
        0.97,
        fixed(0.930, "logistic regression on mean and deviation of the frames"),
        f"task=spoken_digits cell=gru batch=32 held_out=600 {updates(1500, 0.003)}",
    ),
    Row(
        "connected_forward",
        "accuracy",
        0.83,
        fixed(0.393, "logistic regression on one frame"),
        f"task=connected_digits cell=gru batch=16 {updates(1700, 0.005)}",
    ),
    Row(
        "connected_bidirectional",
        "accuracy",
        0.92,
        fixed(0.393, "logistic regression on one frame"),
        f"task=connected_digits cell=gru network.direction=bidirectional batch=16 {updates(1200, 0.005)}",
    ),
    Row(
        "sentiment",
        "accuracy",
        None,
        tfidf,
        f"task=sentiment cell=gru network.direction=bidirectional network.hidden=32 {EMBEDDED} gate_bias=chrono "
        f"gate_bias.longest=20 batch=128 held_out=5000 {updates(200, 0.002)}",
        margin=0.03,
    ),
    Row(
        "phonemes",
        "edit_error",
        0.25,
        fixed(0.325, "a plain GRU encoder-decoder of 128 units, words of any length, 100 s"),
        f"task=phonemes network=encoder_decoder network.hidden=128 network.direction=bidirectional cell=gru "
        f"{EMBEDDED} batch=64 held_out=5000 {updates(4000, 0.005)}",
    ),
    Row(
        "characters",
        "bits",
        None,
        partial(trigram_bits, joined=True),
        f"task=characters network.hidden=128 cell=gru {EMBEDDED} batch=32 held_out=1000 {updates(3000, 0.01)}",
    ),
    Row(
        "tunes",
        "nats_per_token",
        None,
        partial(trigram_nats, joined=False),
        f"task=tunes network.hidden=128 cell=gru {EMBEDDED} batch=20 held_out=1000 {updates(500, 0.01)}",
        ships=False,
    ),
]


def command(row: Row) -> str:
    return f"python -m experiments.train {COMMON} {row.overrides}"
