"""What is wrong with the gradient of a run, if anything, by rules over its scalars; and what is tried against it.

The first rule that holds decides:

    exploding      the loss or a gradient was not finite, or the norm at the far end of the sequence is at least
                   1000 times that at its last scored step, at the last probe
    clip-limited   clipping fired in more than half of the steps logged in the second half of the training
    saturated      more than half of a layer's h_t, over units and steps, lie on a flat end of the activation, at the
                   last probe
    vanishing      the norm has fallen by 1000 within less than half of the sequence, at the last probe
    healthy        none of these

1000 is the fall that the effective horizon counts. Explosion goes before clipping, which answers it, and saturation
before vanishing, which follows from it. Where many steps are scored, the loss of the last one alone is followed. A
gradient that vanishes does no harm to a task without long dependencies: a verdict is about the gradient, not about the
outcome.

Reference:
    Hochreiter, The vanishing gradient problem, 1998; Pascanu, Mikolov & Bengio, On the difficulty of training recurrent
    neural networks, 2013, sections 2 and 3.2; Glorot & Bengio, Understanding the difficulty of training deep
    feedforward neural networks, 2010, section 3 (saturation).
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis.statistics.names import FEED_FORWARD, NAME, nearest

EXPLODED = 3.0  # decades between the ends of the sequence
CLIPPED = 0.5  # of the logged steps
LOGGED = 4  # steps of the second half that are needed for a share
SATURATED = 0.5  # of the entries of all h_t
REACHED = 0.5  # of the sequence
SATURATION = re.compile(r"state/L\d+/\w+/saturated")

Scalars = Mapping[str, Mapping[int, float]]  # name: {step: value}, steps rising


@dataclass(frozen=True)
class Verdict:
    """Its name, the number and the threshold that decided it, and both in words."""

    name: str
    number: float | None
    threshold: float
    text: str


@dataclass(frozen=True)
class Remedy:
    """What is commonly tried, and how here, as overrides; T stands for the length of the sequence."""

    text: str
    overrides: str


RULES = {
    "exploding": "The loss or a gradient was not finite, or the gradient grows by 1000 or more from the last scored "
    "step back to the far end of the sequence, at the last probe.",
    "clip-limited": "Clipping fired in more than half of the steps logged in the second half of the training.",
    "saturated": "More than half of a layer's h_t, over units and steps, lie on a flat end of the activation, at the "
    "last probe.",
    "vanishing": "The gradient has fallen by 1000 within less than half of the sequence, at the last probe.",
    "healthy": "None of the other rules holds.",
}
_ORTHOGONAL = Remedy(
    "keep W orthogonal in training (Arjovsky et al., 2016; Lezcano-Casado & Martinez-Rubio, 2019)",
    "constraint=orthogonal",
)
REMEDIES: dict[str, tuple[Remedy, ...]] = {
    "exploding": (
        Remedy("clip the norm of the gradient (Pascanu et al., 2013)", "clip=norm clip.threshold=1"),
        Remedy("a smaller learning rate", "optimizer.lr=0.0003"),
        Remedy("keep the singular values of W near 1 (Vorontsov et al., 2017)", "constraint=spectral_margin"),
        Remedy("a recurrent matrix that contracts at the start", "init=orthogonal init.gain=0.9"),
        Remedy("a bounded activation, if it is a rectifier or the identity", "cell=elman cell.activation=tanh"),
    ),
    "clip-limited": (
        Remedy(
            "a threshold of half to ten times the usual norm (Pascanu et al., 2013, section 3.2)",
            "clip=norm clip.threshold=10",
        ),
        Remedy("a smaller learning rate: with SGD each step is as long as rate times threshold", "optimizer.lr=0.0003"),
        _ORTHOGONAL,
        Remedy("gates, whose gradient is smoother", "cell=lstm"),
    ),
    "saturated": (
        Remedy("a smaller gain of W (Glorot & Bengio, 2010)", "init=orthogonal init.gain=0.5"),
        Remedy("the critical gain of mean-field theory (Schoenholz et al., 2017)", "cell=elman init=critical"),
        Remedy("layer normalisation between the layers (Ba et al., 2016)", "network.layer_norm=true"),
        Remedy("a smaller learning rate", "optimizer.lr=0.0003"),
        Remedy(
            "a rectifier, which has no upper flat end, from the identity (Le et al., 2015)",
            "cell=elman cell.activation=relu init=identity",
        ),
    ),
    "vanishing": (
        Remedy(
            "a gated memory that lasts as long as the sequence (Tallec & Ollivier, 2018)",
            "cell=lstm gate_bias=chrono gate_bias.longest=T",
        ),
        Remedy("an orthogonal W at the start (Saxe et al., 2014)", "init=orthogonal"),
        _ORTHOGONAL,
        Remedy(
            "a rectifier from the identity (Le, Jaitly & Hinton, 2015)", "cell=elman cell.activation=relu init=identity"
        ),
        Remedy("a linear diagonal recurrence near the unit circle (Orvieto et al., 2023)", "cell=lru"),
        Remedy("in a deep stack, residual connections between layers (He et al., 2016)", "network.residual=true"),
    ),
    "healthy": (),
}


def by_name(rows: Iterable[tuple[int, str, float]]) -> dict[str, dict[int, float]]:
    """Logged step, name and value, as `analysis.tables.logged` gives them; of a step logged twice the later counts."""
    found: dict[str, dict[int, float]] = {}
    for step, name, value in rows:
        found.setdefault(name, {})[step] = value
    return {name: dict(sorted(of.items())) for name, of in found.items()}


def verdict(scalars: Scalars, T: int | None, outcome: str | None = None) -> Verdict | None:
    """The verdict on a run, finished or not; None where nothing was probed yet, or the loss has no gradient any more.

    Args:
        scalars: from `by_name`.
        T: steps of the layer nearest to the input that the last scored step can reach: those of an encoder, not of its
            decoder. None if unknown.
        outcome: of the run, of which only `diverged` counts.
    """
    head = nearest(scalars)
    if head is None:
        return None
    return _exploding(scalars, outcome) or _clip_limited(scalars) or _saturated(scalars) or _vanishing(scalars, head, T)


def _exploding(scalars: Scalars, outcome: str | None) -> Verdict | None:
    wrong = [(step, n) for step, n in scalars.get("grad/nonfinite", {}).items() if n > 0]
    if wrong:
        step, n = wrong[0]
        return Verdict("exploding", n, 0.0, f"{n:.0f} entries of the gradient are not finite at update {step}")
    if outcome == "diverged":
        step = max((max(of) for of in scalars.values()), default=0)
        return Verdict("exploding", None, 0.0, f"the loss is not finite at update {step}")
    found = {name: _last(of) for name, of in scalars.items() if _recurrent(name, "log10_ratio")}
    name = max(found, key=lambda name: -math.inf if math.isnan(found[name]) else found[name], default=None)
    if name is None or not found[name] >= EXPLODED:
        return None
    growth = f"the gradient grows by 10^{found[name]:.1f} from the loss back to the far end"
    text = f"{growth} of {_place(name)} (threshold: 10^3)"
    return Verdict("exploding", found[name], EXPLODED, text)


def _clip_limited(scalars: Scalars) -> Verdict | None:
    fired = scalars.get("grad/clipped", {})
    late = {step: one for step, one in fired.items() if step > max(fired) / 2}
    share = sum(late.values()) / len(late) if late else 0.0
    if len(late) < LOGGED or not share > CLIPPED:
        return None
    norms = sorted(scalars.get("grad/norm", {}).get(step, math.nan) for step in late)
    usual = f"; the median norm before it is {norms[len(norms) // 2]:.3g}"
    text = f"clipping fired in {share:.0%} of the {len(late)} steps logged since update {min(late)} (threshold: half)"
    text += usual
    return Verdict("clip-limited", share, CLIPPED, text)


def _saturated(scalars: Scalars) -> Verdict | None:
    found = {name: _last(of) for name, of in scalars.items() if SATURATION.fullmatch(name)}
    name = max((name for name in found if not math.isnan(found[name])), key=found.get, default=None)
    if name is None or not found[name] > SATURATED:
        return None
    text = f"{found[name]:.0%} of all h_t of {_place(name)} lie where the activation is flat (threshold: half)"
    return Verdict("saturated", found[name], SATURATED, text)


def _vanishing(scalars: Scalars, head: str, T: int | None) -> Verdict | None:
    horizon, censored = (_last(scalars.get(f"{head}/{name}", {})) for name in ("horizon", "horizon_censored"))
    T = int(horizon) if censored == 1 and not math.isnan(horizon) else T
    if T is None:
        return None
    least = REACHED * T
    if math.isnan(horizon):
        others = [_last(of) for name, of in scalars.items() if _recurrent(name, "horizon")]
        if all(map(math.isnan, others)):
            return None
        return Verdict("vanishing", 0.0, least, f"no gradient at all comes down to {_place(head)}")
    if censored == 1:
        text = "a single step: nothing to vanish over" if T == 1 else f"in all {T} steps it does not fall by 1000"
        return Verdict("healthy", horizon, least, f"the gradient arrives: {text}")
    text = f"the gradient falls by 1000 within {horizon:.0f} of {T} steps (threshold: half of them, {least:g})"
    return Verdict("vanishing" if horizon < least else "healthy", horizon, least, text)


def _recurrent(name: str, digest: str) -> bool:
    match = NAME.fullmatch(name)
    return match is not None and match[4] == digest and match[2] not in FEED_FORWARD


def _place(name: str) -> str:
    _, layer, direction, *_ = name.split("/")
    return f"layer {layer[1:]}, {direction}"


def _last(values: Mapping[int, float]) -> float:
    return next(reversed(values.values()), math.nan)
