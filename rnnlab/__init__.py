"""rnnlab: a laboratory that measures how the gradient travels through time, and what that does to learning.

Start at `rnnlab.scan` (the engine), then `rnnlab.networks`, `rnnlab.probes` and `rnnlab.train`;
`rnnlab.trace` looks inside a model of your own.
"""

from rnnlab.networks import EncoderDecoder, Stack, adjoints
from rnnlab.scaled import Scaled
from rnnlab.tracing import trace

__all__ = ["EncoderDecoder", "Scaled", "Stack", "adjoints", "trace"]
