"""`trace`: look inside a user's own recurrent modules while they train."""

import math
import warnings
from collections.abc import Callable

import torch
from torch import nn

from rnnlab import kernels
from rnnlab.tracing.measure import Profile, Share, measure
from rnnlab.tracing.tables import picture, profile_table, weight_table
from rnnlab.tracing.watch import Visit, Watch, recurrent_modules

MISMATCH = 0.05  # of the largest output: above what half precision rounds, below what another mask changes


class trace:  # noqa: N801 - used as a function
    """Measure the adjoints of every torch.nn.RNN, LSTM, GRU and Stack of a model in the user's own training loop:

        with rnnlab.trace(model, every=100) as trace:
            for x, y in loader:
                criterion(model(x), y).backward()
                optimizer.step()
        trace.profiles()

    At every `every`-th backward pass through a module its forward pass is repeated on the same input, initial state,
    weights and dropout masks, and the gradients that arrive at its outputs are sent back through it in log-range: the
    total derivatives dL/dh_t and dL/dc_t of every layer, direction and time step, per sample, of the very scalar that
    `backward` was called on (a mean loss carries 1/B). Nothing of the model changes: outputs, gradients and random
    state are bit for bit those of a run without it, and the fused modules stay in use.

    Numbers are made in float64 where the weights are, else in float32, also under autocast, where the module itself
    rounds more: what is measured is the float32 network. If it does not follow the module's own outputs, as in a
    chaotic one, a RuntimeWarning says so.

    Several calls of a module in one backward pass are told apart by `call`. A packed sequence is measured without its
    padding; padding that is not packed is input like any other, as it is for the module.

    Args:
        every: probe the backward passes 0, every, 2 every, ... through each module.
        scale: what the loss was multiplied with, a number or a function that is asked at each probe
            (`scaler.get_scale`); all gradients are divided by it.

    Raises:
        ValueError: every < 1, a scale that is not positive and finite, a model without a recurrent module.
        NotImplementedError: a module that is compiled, scripted, inside nn.DataParallel or has its own forward; when
            called: inside torch.func, dropout between layers anywhere but on the CPU (cuDNN keeps the state of its
            own), weights that are no plain tensors; on the way back: create_graph=True.
        RuntimeError: on the way back, where the input was changed in place since the call.
    """

    def __init__(self, model: nn.Module, *, every: int = 100, scale: float | Callable[[], float] = 1.0):
        if every < 1:
            raise ValueError(f"trace needs every >= 1, got {every}")
        self._scale: Callable[[], float] = scale if callable(scale) else lambda: scale
        if not callable(scale):
            self._log10_scale()  # a wrong number is refused now
        self._watches = [Watch(name, m, every, self._measure) for name, m in recurrent_modules(model).items()]
        self._profiles: list[Profile] = []
        self._shares: list[Share] = []
        self._warned: set[str] = set()

    def __enter__(self) -> "trace":
        if self._watches[0].handles:
            raise ValueError("trace is entered already: give a second one to a second with-block")
        kernels.available()  # compiled now, if at all, and not in the middle of the first backward pass
        for watch in self._watches:
            watch.start()
        return self

    def __exit__(self, *_) -> None:
        for watch in self._watches:
            watch.stop()

    def profiles(self) -> "pandas.DataFrame":
        """log10 norms over time: one row per step, module, call, layer, direction, part, gate, time and statistic.

        Columns:
            step: backward passes through the module so far.
            part, gate: "h" and "c", the total derivatives with respect to the state (that of c with the path through
                h_t of the same step); "z" with a gate, that with respect to the gate's drive z_t = U x_t + b.
            time: t = 0 .. T-1, in both directions; h_t is the state after input t.
            statistic, log10: over the samples, see `rnnlab.statistics`; -inf is a zero.
            zeros, nonfinite: samples whose norm is exactly 0; and NaN or infinite, which enter no statistic.
        """
        return profile_table(self._profiles)

    def weights(self) -> "pandas.DataFrame":
        """Where in time the gradient of the recurrent matrix W is made, dL/dW = sum_t G_t: one row per step, module,
        call, layer, direction, gate ("all" for the whole of W) and time.

        Columns:
            log10: log10 ||G_t||_F with G_t = sum_b delta_{b,t} (x) h_{b,t-1}, summed over the samples.
            cancellation: ||sum_t G_t|| / sum_t ||G_t||, the same for all t; near 0 the steps undo each other.
        """
        return weight_table(self._shares)

    def plot(self) -> "matplotlib.figure.Figure":
        """The profiles of h and c, median over the samples: a panel per layer, direction and part, steps in colour."""
        if not self._profiles:
            raise ValueError("trace has nothing to plot: no backward pass went through a traced module")
        return picture(self._profiles)

    def _measure(self, visit: Visit) -> None:
        watch, call, where = visit.watch, visit.call, {"step": visit.step, "order": visit.order}
        with torch.no_grad(), torch.autocast(next(iter(visit.found.values())).device.type, enabled=False):
            trajectory = call.trajectory()
            self._warn_of(watch.name, call.mismatch(trajectory))
            d_out, d_last = call.upstream(visit.found, trajectory)
            found = measure(trajectory, d_out, d_last, log10_scale=self._log10_scale(), module=watch.name, **where)
        self._profiles += found[0]
        self._shares += found[1]

    def _warn_of(self, name: str, mismatch: float) -> None:
        if mismatch > MISMATCH and name not in self._warned:
            self._warned.add(name)
            warnings.warn(
                f"trace repeats {name!r} with outputs that differ by {100 * mismatch:.0f} % of the largest: "
                "its numbers belong to the repeated call",
                RuntimeWarning,
                stacklevel=2,
            )

    def _log10_scale(self) -> float:
        scale = float(self._scale())
        if not 0 < scale < math.inf:
            raise ValueError(f"trace needs a positive, finite scale, got {scale}")
        return math.log10(scale)
