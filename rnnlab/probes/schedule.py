"""When to probe: a schedule is a function of the step and of the last step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decades:
    """Steps 0, 1, 2, 5, 10, 20, 50, 100, ... and the last: a fixed number per decade, so that a probe costs nothing in
    the limit."""

    def __call__(self, step: int, last: int) -> bool:
        return step in (0, last) or str(step).rstrip("0") in ("1", "2", "5")


@dataclass(frozen=True, kw_only=True)
class Every:
    """Steps 0, K, 2K, ... and the last.

    Args:
        interval: K.
    """

    interval: int

    def __post_init__(self):
        if self.interval < 1:
            raise ValueError(f"every needs interval >= 1, got {self.interval}")

    def __call__(self, step: int, last: int) -> bool:
        return step % self.interval == 0 or step == last
