"""Lines in the terminal: how a long run is getting on, one line per run of a sweep, and its total."""

import difflib
import math
import time
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import MissingConfigException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from rnnlab.train import Measurement

PATIENCE = 5.0  # seconds without a line in a long run


class Ticker:
    """Prints a line about a run every few seconds, and at its end if it has printed before.

    Args:
        first: the step that the run goes on at after an earlier attempt.
    """

    def __init__(self, steps: int, first: int = 0) -> None:
        self.steps, self.first, self.started = steps, first, time.monotonic()
        self.last = self.started
        if first:
            print(f"  goes on at step {first}/{steps}", flush=True)

    def __call__(self, m: Measurement) -> None:
        now = time.monotonic()
        if now - self.last < PATIENCE and not (m.outcome and self.last > self.started):
            return
        self.last = now
        rate = (m.step - self.first) / (now - self.started)
        left = (self.steps - m.step) / rate if rate else math.inf
        error = m.scalars.get("validation/error")
        print(
            f"  step {m.step}/{self.steps}  loss {m.scalars['train/loss']:.4g}"
            + (f"  validation error {error:.3f}" if error is not None else "")
            + f"  gradient norm {m.scalars['grad/norm']:.2g}  {rate:.1f} steps/s, {clock(left)} left",
            flush=True,
        )


class Progress(Callback):
    """Hydra callback: one line when a run ends, and the total of a sweep."""

    def __init__(self) -> None:
        self.total, self.started = 0, time.monotonic()
        self.ended: list[str] = []
        self.failures: list[str] = []

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self.total, self.started = count(config), time.monotonic()
        print(f"{config.name}: {self.total} runs", flush=True)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        result = job_return._return_value
        failed = job_return.status is not JobStatus.COMPLETED or not isinstance(result, dict)
        if isinstance(result, SystemExit):
            return
        overrides = " ".join(o for o in config.hydra.overrides.task if not o.startswith(("experiment=", "scale=")))
        self.ended.append("failed" if failed else "done before" if result["skipped"] else result["outcome"])
        if failed:
            text = f"FAILED  {overrides}  {type(result).__name__}: {result}".splitlines()[0]
        else:
            error = result["metrics"].get("validation/error", "?")
            error = f"{error:.3f}" if isinstance(error, float) else error
            text = f"{self.ended[-1]:<11} {result['wall_seconds']:6.1f} s  error {error}  {result['run']}  {overrides}"
        if self.total:
            spent = time.monotonic() - self.started
            left = spent / len(self.ended) * (self.total - len(self.ended))
            text = f"[{len(self.ended):>{len(str(self.total))}}/{self.total}] {text}  ({clock(left)} left)"
        print(text, flush=True)
        if failed:
            self.failures.append(text)
        if len(self.ended) == self.total:
            self._total(config.name)
        if not self.total and not failed:
            print(f"record: {result['folder']}", flush=True)

    def _total(self, name: str) -> None:
        """At the last job and not at the end of the sweep, of which Hydra does not tell if a run has failed."""
        counts = ", ".join(f"{self.ended.count(word)} {word}" for word in sorted(set(self.ended)))
        print(f"{name}: {self.total} runs in {clock(time.monotonic() - self.started)}: {counts}", flush=True)
        for line in self.failures:
            print(line, flush=True)


def count(config: DictConfig) -> int:
    """The number of runs in a sweep: the product of its axes, where the command line replaces the experiment's."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    lines = {key: f"{key}={value}" for key, value in params.items()}
    lines |= {line.split("=", 1)[0]: line for line in config.hydra.overrides.task}
    axes = OverridesParser.create().parse_overrides(list(lines.values()))
    return math.prod(len(list(axis.sweep_string_iterator())) for axis in axes if axis.is_sweep_override())


def clock(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def suggestion(error: BaseException | None) -> str | None:
    """The closest of the names that are there, for a misspelt key or choice that Hydra refused."""
    cause = getattr(error, "__cause__", None)
    if isinstance(error, MissingConfigException):
        wrong, known = Path(error.missing_cfg_file or "").name, error.options or []
    elif isinstance(cause, ConfigAttributeError | ConfigKeyError):
        wrong, known = cause.key, cause.parent_node or []
    else:
        return None
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(wrong), names, n=1)
    return f"error: there is no {wrong!r}: " + (f"did you mean {close[0]!r}?" if close else f"only {', '.join(names)}")
