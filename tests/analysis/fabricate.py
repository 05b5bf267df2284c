"""Run folders made by hand, in the format of the record, whose profiles follow a law that the test chooses."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

STATISTICS = ["mean_log10", "log10_rms", "q10", "q50", "q90"]
DROP = 3.0  # decades: the effective horizon is the first lag at which the norm has fallen by 1000


def series(direction: str, depth: int, cell: str) -> list[tuple[int, str, str]]:
    passes = ["forward", "backward"] if direction == "bidirectional" else [direction]
    parts = ["h", "c"] if cell == "lstm" else ["h"]
    return [(layer, one, part) for layer in range(depth) for one in passes for part in parts]


def horizon(slope: float, T: int) -> tuple[float, int]:
    """Effective horizon of the law log10 norm = slope * lag, and whether it is censored at T."""
    lag = math.ceil(DROP / -slope - 1e-9) if slope < 0 else T
    return (lag, 0) if lag < T else (T, 1)


def law(slope: float, layer: int, direction: str, part: str) -> float:
    """What a test may tell apart: layers above the first, backward layers and the part c decay at their own rates."""
    return slope * (1 + layer) * (1.5 if direction == "backward" else 1.0) * (0.5 if part == "c" else 1.0)


def strict(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def run(
    folder: Path,
    name: str,
    *,
    slopes: tuple[float, ...] = (-0.05, -0.02),
    steps: tuple[int, ...] = (0, 100),
    T: int = 50,
    task: str = "adding",
    cell: str = "elman",
    init: str = "orthogonal",
    init_values: dict[str, Any] | None = None,
    depth: int = 1,
    direction: str = "forward",
    seed: int = 0,
    scale: str = "laptop",
    outcome: str | None = "solved",
    error: float = 0.01,
    zero_from: int | None = None,
    settings: dict[str, Any] | None = None,
    experiment: str = "horizon",
    predicted: dict[str, float] | None = None,
    losses: tuple[float, ...] | None = None,
) -> Path:
    """One run folder; at each probed step `slopes` are the decades per step of layer 0, forward, part h, and `losses`
    those of training."""
    path = folder / name
    path.mkdir(parents=True)
    config = {
        "cell": {"_target_": f"rnnlab.cells.{cell}.{cell.upper()}"},
        "init": {"_target_": f"rnnlab.inits.{init}_", **(init_values or {})},
        "network": {"_target_": "rnnlab.networks.stack.Stack", "hidden": 8, "depth": depth, "direction": direction},
        "task": {"_target_": f"rnnlab.tasks.{task}.{task.capitalize()}", "length": T},
        "optimizer": {"_target_": "torch.optim.RMSprop", "_partial_": True, "lr": 0.001},
        "steps": max(steps),
        "batch": 20,
        "seed": seed,
        "seeds": {"init": seed, "order": seed, "data": seed},
        "threads": 1,
        "device": "cpu",
        **(settings or {}),
    }
    record = {
        "run": name,
        "name": experiment,
        "scale": scale,
        "config": config,
        "versions": {"torch": "2"},
        "code": None,
    }
    (path / "config.json").write_text(json.dumps(record))
    names = series(direction, depth, cell)
    lines = []
    norms = np.zeros((len(steps), len(names), len(STATISTICS), T))
    for n, (step, slope) in enumerate(zip(steps, slopes, strict=True)):
        line: dict[str, Any] = {"step": step, "seconds": 0.5 * n, "train/loss": 0.1, "grad/norm": 1.0}
        line |= {} if losses is None else {"train/loss": strict(losses[n])}
        for s, (layer, one, part) in enumerate(names):
            rate = law(slope, layer, one, part)
            far, censored = horizon(rate, T)
            head = f"adjoint/L{layer}/{one}/{part}"
            line[f"{head}/decay_per_step"] = strict(rate)
            line[f"{head}/half_life"] = strict(math.log10(2) / -rate if rate < 0 else math.inf)
            line[f"{head}/horizon"] = far
            line[f"{head}/horizon_censored"] = censored
            line[f"{head}/log10_ratio"] = strict(rate * (T - 1))
            time = np.arange(T)
            lag = time if one == "backward" else T - 1 - time
            profile = -1.0 + rate * lag
            if zero_from is not None:
                profile[lag >= zero_from] = -np.inf
            norms[n, s] = profile + np.array([0.1, 0.3, -0.2, 0.0, 0.2])[:, None]
        lines.append(json.dumps(line, allow_nan=False))
    (path / "scalars.jsonl").write_text("\n".join(lines) + "\n")
    np.savez(
        path / "profiles.npz",
        step=np.array(steps),
        layer=np.array([layer for layer, _, _ in names]),
        direction=np.array([one for _, one, _ in names]),
        part=np.array([part for _, _, part in names]),
        loss=np.array(["task"] * len(names)),
        statistic=np.array(STATISTICS),
        time=np.arange(T),
        lag=np.stack([np.arange(T) if one == "backward" else T - 1 - np.arange(T) for _, one, _ in names]),
        log10_norm=norms,
        zeros=np.zeros((len(steps), len(names), T), int),
        nonfinite=np.zeros((len(steps), len(names), T), int),
        samples=np.full(len(steps), 20),
        step_loss=np.zeros((len(steps), 1)),
        step_loss_time=np.array([T - 1]),
    )
    if outcome is not None:
        told = {name: strict(value) for name, value in (predicted or {}).items()}
        metrics = {"validation/loss": strict(error), "validation/error": strict(error)}
        done = {"outcome": outcome, "steps": max(steps), "metrics": metrics, "predicted": told, "wall_seconds": 1.0}
        (path / "done.json").write_text(json.dumps(done))
    return path


def trainability(folder: Path, gains: tuple[float, ...] = (0.7, 0.9, 1.2), lengths: tuple[int, ...] = (20, 60)) -> None:
    """A sweep over gain, T and three seeds: the gradient decays by log10 gain a step, more or less, and a run is solved
    where it arrives from the first step at initialisation; above 1 the last seed diverges."""
    for gain in gains:
        theory = {"decay_per_step": math.log10(gain), "horizon": -DROP / math.log10(gain) if gain < 1 else math.inf}
        for T in lengths:
            for seed in range(3):
                slope = math.log10(gain) * (1 + 0.1 * (seed - 1))
                outcome = "diverged" if gain > 1 and seed == 2 else "solved" if horizon(slope, T)[1] else "stuck"
                last = {"solved": 0.01, "stuck": 0.5, "diverged": math.nan}[outcome]
                run(
                    folder,
                    f"g{gain}T{T}s{seed}",
                    experiment="trainability",
                    task="latch",
                    init="gaussian",
                    init_values={"gain": gain},
                    T=T,
                    seed=seed,
                    steps=(0, 10, 100),
                    slopes=(slope, slope / 2, slope / 4),
                    losses=(0.7, 0.6, last),
                    outcome=outcome,
                    predicted=theory,
                )
