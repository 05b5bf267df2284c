"""Look inside a user's own torch.nn.RNN, LSTM or GRU while it trains.

`session` is what the user sees. `watch` holds the hooks on the model, `calls` repeats what they saw, `measure` makes
numbers of it, `tables` shows them.
"""

from rnnlab.tracing.session import trace

__all__ = ["trace"]
