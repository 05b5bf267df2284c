"""The names under which gradient profiles are digested, and which of them stands for a run.

Needs no pandas: `experiments.status` asks it too.
"""

import re
from collections.abc import Iterable

FEED_FORWARD = ("input", "output")
NAME = re.compile(r"adjoint/L(\d+)/(forward|backward|input|output)/(\w+)/(\w+)")


def nearness(layer: int, direction: str, part: str) -> tuple:
    """Lower is nearer: recurrent layers before feed-forward ones, from the input to the output, forward and h first."""
    return direction in FEED_FORWARD, layer, direction != "forward", part != "h", part


def nearest(names: Iterable[str]) -> str | None:
    """`adjoint/LAYER/DIRECTION/PART` of the recurrent layer nearest to the input; forward and h go first.

    Feed-forward layers only if there is no other; None if nothing was probed.
    """
    found = {match[0].rpartition("/")[0]: match for name in names if (match := NAME.fullmatch(name))}
    return min(found, key=lambda head: nearness(int(found[head][1]), found[head][2], found[head][3]), default=None)
