"""Draw the experiment `sutskever2014_reversal`: is a sequence easier to write again if it was read in reverse?

    python -m analysis.sutskever2014_reversal [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--where ...] [--keep]

writes sutskever2014_reversal (validation loss over updates, with half of the baseline, for each T) and
sutskever2014_positions (loss of each written symbol), and prints whether the claims hold. The baseline is T ln n / (T + 1)
nats a token, of who writes any of the n symbols and stops in time; it is computed from the recorded T and n.
"""

from analysis import drawing

LOSS = "validation/loss"
IN_ORDER, REVERSED = "source in order", "source reversed"
ORDERS = {"repeat": IN_ORDER, "reverse": REVERSED}
SHORT = 10  # a T at which, of random symbols, order has not yet been seen to matter


def main(arguments: list[str] | None = None) -> int:
    return drawing.main(EXPERIMENT, "Draw the experiment sutskever2014_reversal.", arguments)
