"""The engine: the scan forward in time, and the adjoint scan back.

    s_t = f(z_t, s_{t-1}),  z_t = U x_t + b                          scan
    a_t = direct_t + (ds_{t+1}/ds_t)^T a_{t+1}                       adjoint_scan

Backpropagation through time is the second recursion, so its states *are* the gradients that this laboratory measures.
Times run 0..T: state 0 is the initial state, state t the one after t steps. All but the two loops is parallel over the
steps of a block, and a block is small enough to stay in the cache. Read `forward`, then `backward`, then
`differentiable`, which makes one function of them for training.
"""

from rnnlab.scan.backward import Block, adjoint_scan, way_back
from rnnlab.scan.differentiable import scan
from rnnlab.scan.forward import Path, padding

__all__ = ["Block", "Path", "adjoint_scan", "padding", "scan", "way_back"]
