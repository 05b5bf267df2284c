"""The two loops of the scan in C++, compiled on this machine at first use. Without a compiler the caller's remain.

    forward     s_{k+1} = f(z_{k+1}, s_k)                        k = 0 .. K-1
    backward    a_k += (ds_{k+1}/ds_k)^T a_{k+1}                 k = K-1 .. 0

Both work in place on one block of K steps, with the layouts of `room`, `advance` and `weights` of the cells:

    kind                            weights                tape [K, B, .]        states, a [K+1, B, .]   delta [K, B, .]
    elman_tanh, elman_relu,         W, W^T                 no columns            h                       z
    elman_sigmoid, elman_identity
    lstm                            W, W^T                 i, f, g, o, tanh(c')  h, c                    i, f, g, o
    gru                             W, W_ru^T, W_n^T, b_q  r, u, n, q            h                       r, u, q, n

On entry of `forward` the drive z stands in the first columns of the tape (Elman: in states[1:]) and states[0] is given.
On entry of `backward` a holds the direct part, a[K] complete; delta becomes the gradient with respect to what stands
before each nonlinearity, and for the gru's third column that of q = W_n h + b_q.

A row of the batch has the same result, to the last bit, whatever the other rows are and however many.

The environment variable RNNLAB_KERNELS=off switches the loops off; CXX names the compiler.
"""

import os
import warnings
from functools import cache

import torch
from torch import Tensor

from rnnlab.kernels.build import BuildError, compiler
from rnnlab.kernels.calls import KINDS, NAMES, backward, forward
from rnnlab.kernels.check import check

__all__ = ["KINDS", "available", "backward", "fits", "forward"]


def fits(x: Tensor) -> bool:
    """Whether the compiled loops can run on such a tensor, on this machine."""
    return x.device.type == "cpu" and x.dtype in NAMES and type(x) in (Tensor, torch.nn.Parameter) and available()


@cache
def available() -> bool:
    """Whether there are compiled loops and they are right. Compiles them unless a process of this user did before.

    Warns, once, where a compiler is there but fails, or where its result computes something else than the cells.
    """
    if os.environ.get("RNNLAB_KERNELS") == "off" or not compiler():
        return False
    try:
        check()
    except BuildError as error:
        warnings.warn(f"rnnlab runs its loops in Python, several times slower: {error}", stacklevel=2)
        return False
    return True
