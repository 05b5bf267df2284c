"""Many steps at once, where the recurrence is linear and acts on each entry alone: both loops in O(log K) operations.

    s_{k+1} = d_k s_k + e_k                            k = 0 .. K-1          forward
    a_k = direct_k + conj(d_k) a_{k+1}                 k = K-1 .. 0          backward

By odd-even reduction: two steps are one, with the product of their decays; so every other step is a scan of half as
many, after which those between follow from their neighbours. That is three operations on half of the steps at each of
log2 K levels: three times the arithmetic of the loop, and far fewer calls. Decays are multiplied and never divided by:
a product that underflows belongs to a term that does.

Reference:
    Blelloch, Prefix sums and their applications, 1990; Martin & Cundy, Parallelizing linear recurrent neural nets over
    sequence length, 2018.
"""

from torch import Tensor

from rnnlab.cells import Cell

WIDE = 1024  # entries of a step from which on the loop is as fast on a CPU: it computes a third


def fits(cell: Cell, states: Tensor) -> bool:
    """Whether the steps are to be taken at once: a subclass may have changed the equations, so it must say so."""
    if not cell.parallel or "diagonal" not in vars(type(cell)):
        return False
    return states.device.type != "cpu" or states[0].numel() <= WIDE


def forward(decay: Tensor, s: Tensor) -> None:
    """In place: s [K+1, ...] holds the first state and the entries e. The decay is [K, ...], or [...] at every step."""
    if len(s) < 2:
        return
    _add(s[1::2], s[:-1:2], decay, slice(0, None, 2))
    forward(_products(decay, s, slice(1, -1, 2), slice(2, None, 2)), s[1::2])
    _add(s[2::2], s[1:-1:2], decay, slice(1, None, 2))


def backward(decay: Tensor, a: Tensor) -> None:
    """In place: a [K+1, ...] holds the direct parts, the last one complete. The pairs are counted from the end."""
    if len(a) < 2:
        return
    p = len(a) % 2
    _add(a[p:-1:2], a[p + 1 :: 2], decay, slice(p, None, 2))
    backward(_products(decay, a, slice(p, -1, 2), slice(p + 1, None, 2)), a[p:-1:2])
    _add(a[1 - p : -1 : 2], a[2 - p :: 2], decay, slice(1 - p, None, 2))


def _add(target: Tensor, source: Tensor, decay: Tensor, steps: slice) -> None:
    target.addcmul_(source, decay[steps] if decay.ndim == target.ndim else decay)


def _products(decay: Tensor, s: Tensor, first: slice, second: slice) -> Tensor:
    return decay[first] * decay[second] if decay.ndim == s.ndim else decay * decay
