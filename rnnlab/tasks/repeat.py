"""Write a sequence again."""

import math
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Reduction,
    Split,
    Task,
    cross_entropy,
    error_rate,
    require_choice,
    require_positive,
    require_request,
)
from rnnlab.tasks.rewriting import blind_loss, draw_tokens, require_tokens, rewritten


@dataclass(frozen=True, kw_only=True)
class Repeat(Task):
    """Read a sequence of symbols to its end, then write it in the same order and stop.

    Tokens 1 .. n, each equally likely; 0 is the stop, and the start of what the decoder reads. With a length of 3:

        x = 4 1 2      given = 0 4 1 2      y = 4 1 2 0

    Every symbol is asked for l steps after it was seen, l the length of the sequence. Written backwards, as in
    `Reverse`, the lags are l on the average as well, but the shortest is 1: the two together tell how much a network is
    helped by a few short lags. The loss is the cross-entropy in nats of each token, the stop included; a decoder that
    knows what it has written but nothing of x pays as in `Reverse`.

    Metrics:
        error: fraction of wrong tokens, when each is given the right ones before it.
        edit_error, sequence_error: of what the network writes by itself.

    Args:
        length: T, of the longest sequence.
        shortest: of the shortest; all lengths in between are equally likely. Shorter ones are padded with 0.
        symbols: n, at least 2.
        reduction: over the tokens of a sequence and its stop.
        solved_error: solved if `sequence_error` is below this; ours, as for `Reverse`.

    Reference:
        Grefenstette, Hermann, Suleyman, Blunsom, Learning to Transduce with Unbounded Memory, 2015, sec. 4.1, sequence
        copying; why it is harder than reversal, Sutskever, Vinyals, Le, 2014, sec. 3.3.
    """

    shortest: int
    symbols: int
    reduction: Reduction
    solved_error: float
    kind: ClassVar[Kind] = "sequence-to-sequence"
    readout: ClassVar[Readout] = "decoder"

    def __post_init__(self) -> None:
        require_tokens("repeat", self.length, self.shortest, self.symbols)
        require_choice("repeat", "reduction", self.reduction, get_args(Reduction))
        require_positive("repeat", "solved_error", self.solved_error)

    @property
    def inputs(self) -> int:
        return self.symbols + 1

    @property
    def outputs(self) -> int:
        return self.symbols + 1

    @property
    def emitted(self) -> int:
        return self.length + 1

    @property
    def chance_loss(self) -> float:
        lengths = range(self.shortest, self.length + 1)
        return blind_loss({length: length * math.log(self.symbols) for length in lengths}, self.reduction)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("repeat", split, size)
        x, lengths = draw_tokens(self.length, self.shortest, self.symbols, size, generator)
        return rewritten(x, lengths, x)

    def losses(self, outputs: Float[Tensor, "T_y B C"], y: Int[Tensor, "T_y B"]) -> Float[Tensor, "T_y B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T_y B C"], y: Int[Tensor, "T_y B"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": error_rate(outputs, y)}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["sequence_error"] < self.solved_error
