"""One block of steps by the compiled loops: the shapes are checked here, for C++ checks nothing."""

from ctypes import CDLL, c_int, c_long, c_void_p
from functools import cache

import torch
from torch import Tensor

from rnnlab.kernels.build import library

KINDS = ("elman_tanh", "elman_relu", "elman_sigmoid", "elman_identity", "lstm", "gru")  # `enum Kind` of loops.cpp
NAMES = {torch.float32: "rnnlab_float32", torch.float64: "rnnlab_float64"}

Weights = tuple[Tensor, ...]


def columns(kind: str) -> tuple[int, int, int]:
    """Of tape, states and delta, in H."""
    return {"lstm": (5, 2, 4), "gru": (4, 1, 4)}.get(kind, (0, 1, 1))


def forward(kind: str, weights: Weights, tape: Tensor, states: Tensor) -> None:
    """The states after each step, and the tape, of one block."""
    (K, B, _), H, (records, blocks, _) = tape.shape, weights[0].shape[-1], columns(kind)
    _check(kind, weights, tape=(tape, [K, B, records * H]), states=(states, [K + 1, B, blocks * H]))
    _run(kind, weights, (tape, states, None, None), K, B, H)


def backward(kind: str, weights: Weights, tape: Tensor, states: Tensor, a: Tensor, delta: Tensor) -> None:
    """The adjoints of all states, and delta, of one block."""
    (K, B, _), H, (records, blocks, gates) = tape.shape, weights[0].shape[-1], columns(kind)
    state = [K + 1, B, blocks * H]
    _check(kind, weights, tape=(tape, [K, B, records * H]), states=(states, state), a=(a, state))
    _check(kind, (tape,), delta=(delta, [K, B, gates * H]))
    _run(kind, weights, (tape, states, a, delta), K, B, H)


def _check(kind: str, weights: Weights, **tensors: tuple[Tensor, list[int]]) -> None:
    dtype, expected = weights[0].dtype, [("weights", w, list(w.shape)) for w in weights]
    for name, x, shape in expected + [(name, *pair) for name, pair in tensors.items()]:
        if list(x.shape) != shape or x.dtype != dtype or not x.is_contiguous():
            found = f"{x.dtype} {list(x.shape)} with strides {x.stride()}"
            raise ValueError(f"the loop of {kind} needs {name} of {dtype}, contiguous, of shape {shape}, got {found}")


def _run(kind: str, weights: Weights, tensors: tuple[Tensor | None, ...], K: int, B: int, H: int) -> None:
    loop = getattr(loaded(), NAMES[weights[0].dtype])
    pointers = (c_void_p * len(weights))(*(w.data_ptr() for w in weights))
    rest = (None if x is None else x.data_ptr() for x in tensors)
    loop(KINDS.index(kind), tensors[-1] is not None, pointers, *rest, K, B, H)


@cache
def loaded() -> CDLL:
    """The library with its types declared."""
    found = library()
    for name in NAMES.values():
        loop = getattr(found, name)
        loop.argtypes, loop.restype = [c_int, c_int, *[c_void_p] * 5, *[c_long] * 3], None
    return found
