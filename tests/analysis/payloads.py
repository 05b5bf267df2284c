"""Payloads of the dashboard without a run: as `analysis.dashboard.collect` makes them, from closed forms.

The gradient of a run decays by `decay` decades per step of lag, so each number on the page has a formula.
"""

import base64
import itertools
import math
import random
from typing import Any

LEVELS = 252
OUTCOMES = ("solved", "stuck", "diverged")
VERDICTS = {
    "vanishing": {
        "rule": "The gradient falls by 1,000 within half of the steps that it must cross.",
        "remedies": [
            {"text": "gates whose memory spans T", "try": "cell=lstm gate_bias=chrono gate_bias.longest=T"},
            {"text": "a recurrent matrix that keeps norms", "try": "init=orthogonal"},
        ],
    },
    "exploding": {
        "rule": "The gradient grows by 1,000.",
        "remedies": [{"text": "clip the norm", "try": "clip=norm"}],
    },
    "healthy": {"rule": "None of the others holds.", "remedies": []},
}


def bins(T: int, backward: bool = False) -> dict[str, list[int]]:
    """Every step where T <= 128; else 64 of width 1 next to the loss, then wider with the lag."""
    edges = list(range(T + 1))
    if T > 128:
        far = [round(64 * (T / 64) ** (k / 64)) for k in range(65)]
        edges = list(range(64)) + sorted(set(far))
    lags = [(low, high - 1) for low, high in itertools.pairwise(edges)]
    spans = lags if backward else [(T - 1 - high, T - 1 - low) for low, high in reversed(lags)]
    middle = [(low + high) // 2 for low, high in spans]
    return {
        "from": [low for low, _ in spans],
        "to": [high for _, high in spans],
        "lag": middle if backward else [T - 1 - t for t in middle],
    }


def codes(values: list[list[float | None]], floor: float = -30.0) -> dict[str, Any]:
    """low, high and codes of rows of log10 norms; None where there is no state, NaN where not finite."""
    low, high, packed = [], [], bytearray()
    for row in values:
        above = [v for v in row if v is not None and not math.isnan(v) and v >= floor]
        ends = (min(above), max(above)) if above else (None, None)
        low.append(ends[0])
        high.append(ends[1])
        for v in row:
            if v is None:
                packed.append(254)
            elif math.isnan(v):
                packed.append(255)
            elif v < floor:
                packed.append(0)
            else:
                span = ends[1] - ends[0] or 1.0
                packed.append(round((v - ends[0]) / span * LEVELS) + 1)
    return {"low": low, "high": high, "codes": base64.b64encode(bytes(packed)).decode()}


def log10(lag: int, step: int, decay: float, of: int) -> float:
    """The closed form: a straight line over the lag that flattens while training, one decade lower per series."""
    return decay * lag / (1 + math.log10(1 + step)) - 0.5 * of - 0.2 * math.log10(1 + step)


def profiles(T: int, decay: float, steps: list[int], series: list[dict], broken: bool = False) -> dict[str, Any]:
    """Profiles of the closed form; `broken`: the last step is not finite beyond a quarter of T."""
    both = [bins(T), bins(T, backward=True)]
    found = []
    for of, one in enumerate(series):
        which = int(one["direction"] == "backward")
        rows = [[log10(lag, step, decay, of) for lag in both[which]["lag"]] for step in steps]
        if broken:
            rows[-1] = [math.nan if lag > T / 4 else v for v, lag in zip(rows[-1], both[which]["lag"], strict=True)]
        found.append({"of": of, "bins": which, **codes(rows)})
    return {"steps": steps, "bins": both, "series": found, "coarse": None}


def curves(steps: int, end: float, rng: random.Random, broken: bool = False) -> dict[str, list[list]]:
    at = sorted({round(steps * k / 99) for k in range(100)})
    loss = [end + (1 - end) * math.exp(-5 * s / steps) * math.exp(rng.gauss(0, 0.08)) for s in at]
    if broken:
        loss[-20:] = [None] * 20
    sparse = at[::10]
    return {
        "train/loss": [at, loss],
        "validation/loss": [sparse, [v and 1.1 * v for v in loss[::10]]],
        "validation/error": [sparse, [v and min(v, 1.0) for v in loss[::10]]],
        "grad/norm": [at, [v and v * 3 for v in loss]],
        "horizon": [sparse, [5 + s // 50 for s in sparse]],
    }


def layers(depth: int = 1, directions: tuple = ("forward",), parts: tuple = ("h",)) -> list[dict]:
    return [{"layer": d, "direction": w, "part": p} for d in range(depth) for w in directions for p in parts]


def run(name: str, settings: list, T: int | None, *, outcome: str, seed: int, series: list, probed: int = 6) -> dict:
    """One run whose horizon is that of its closed form."""
    rng = random.Random(f"{name} {seed}")
    decay = -3.0 / rng.uniform(8, 300)
    horizon = math.ceil(3 / -decay)
    done, broken = outcome in OUTCOMES, outcome == "diverged"
    steps = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000][:probed]
    censored = T is not None and horizon >= T
    end = {"solved": 0.002, "stuck": 0.3}.get(outcome, 0.5)
    loss = None if broken or not done else end * rng.uniform(0.7, 1.4)
    failed = outcome == "failed"
    start = min(max(horizon // 2, 1), T or horizon)
    number, half = min(horizon, T or horizon), (T or 0) / 2
    return {
        "run": name,
        "outcome": outcome,
        "failure": "RuntimeError: out of memory" if failed else None,
        "settings": settings,
        "T": T,
        "step": 0 if failed else 1000 if done else 300,
        "seconds": None if failed else rng.uniform(3, 900),
        "loss": loss,
        "metric": loss and min(1.0, loss * 2),
        "horizon": None if failed else number,
        "censored": not failed and censored,
        "decay": None if failed else decay,
        "init": None if failed else {"horizon": start, "censored": T is not None and start >= T, "decay": 2 * decay},
        "predicted": None if failed else {"horizon": number * 0.55, "decay_per_step": 1.8 * decay},
        "verdict": {
            "name": "vanishing" if number * 2 < (T or 0) else "healthy",
            "number": number,
            "threshold": half,
            "text": f"the gradient falls by 1,000 within {number} of {T} steps (threshold: half of T, {half:g})",
        }
        if done
        else None,
        "curves": {} if failed else curves(1000, end, rng, broken),
        "profiles": None if failed or T is None else profiles(T, decay, steps, series, broken),
    }


def payload(runs: list[dict], axes: list[tuple[str, str]], series: list[dict], **more: Any) -> dict[str, Any]:
    """The whole; the values of an axis are those of its runs."""
    described = []
    for i, (name, label) in enumerate(axes):
        values = {r["settings"][i] for r in runs} - {None}
        numeric = bool(values) and all(isinstance(v, int | float) for v in values)
        described.append(
            {"name": name, "label": label, "numeric": numeric, "values": sorted(values, key=None if numeric else str)}
        )
    return {
        "name": "horizon",
        "axes": described,
        "common": {"optimizer": "adam", "optimizer.lr": 0.003, "batch": 32, "network.hidden": 64},
        "loss": "test/loss",
        "metric": "test/error",
        "verdicts": VERDICTS,
        "series": series,
        "runs": runs,
        "left_out": {},
    } | more


def sweep(
    lengths: tuple = (64, 200, 1000),
    cells: tuple = ("elman", "lstm"),
    depths: tuple = (1, 2, 4),
    seeds: int = 2,
    *,
    series: list[dict] | None = None,
    probed: int = 6,
    **more: Any,
) -> dict[str, Any]:
    """Every combination, with all outcomes among them: runs are named r0, r1, ..."""
    series = layers() if series is None else series
    found = []
    for k, (T, cell, depth, seed) in enumerate(itertools.product(lengths, cells, depths, range(seeds))):
        outcome = "solved" if T <= 200 and (cell == "lstm" or depth == 1) else "stuck" if T < 1000 else OUTCOMES[k % 3]
        outcome = {7: "running", 11: "failed", 13: "unfinished", 15: "diverged"}.get(k, outcome)
        found.append(run(f"r{k}", [T, cell, depth, seed], T, outcome=outcome, seed=seed, series=series, probed=probed))
    axes = [("task.length", "T"), ("cell", "cell"), ("network.depth", "depth"), ("seed", "seed")]
    return payload(found, axes, series, **more)
