"""The hooks on a user's model: they find the calls that a backward pass goes through, and leave everything as it is."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from rnnlab.networks import EncoderDecoder, Stack
from rnnlab.networks.foreign import FOREIGN, dropout_acts
from rnnlab.tracing.calls import Call, ForeignCall, StackCall, outputs_of

Geometry = tuple[torch.Size, tuple[int, ...], int]  # shape, strides, offset


def recurrent_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Every torch.nn.RNN, LSTM, GRU and every Stack in a model, by qualified name; the model itself by its class.

    Raises:
        ValueError: none is there.
        NotImplementedError: one is run where no hook of ours is called, or runs another forward than its class's.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"trace needs a torch.nn.Module, got {type(model).__name__}")
    for name, module in model.named_modules():
        _refuse_opaque(name or type(module).__name__, module)
    found = {name or type(m).__name__: m for name, m in model.named_modules() if isinstance(m, (*FOREIGN, Stack))}
    if not found:
        raise ValueError(f"trace needs a torch.nn.RNN, LSTM or GRU or a Stack in the model, got {type(model).__name__}")
    return found


def _refuse_opaque(name: str, module: nn.Module) -> None:
    kind = next((kind for kind in FOREIGN if isinstance(module, kind)), None)
    inside = any(isinstance(m, (*FOREIGN, Stack)) for m in module.modules())
    of_dynamo = type(module).__module__.startswith("torch._dynamo")
    reasons = {
        "it is scripted": isinstance(module, torch.jit.ScriptModule) and module.original_name in ("RNN", "LSTM", "GRU"),
        "it is compiled, and compiled code calls no hooks": inside and (of_dynamo or module._compiled_call_impl),
        "nn.DataParallel runs copies of it": inside and isinstance(module, nn.DataParallel),
        "its encoder hands states to its decoder, which the probes of rnnlab know": isinstance(module, EncoderDecoder),
        "it has a forward of its own": kind and ("forward" in vars(module) or type(module).forward is not kind.forward),
    }
    for reason, holds in reasons.items():
        if holds:
            raise NotImplementedError(f"trace cannot follow {name!r} ({type(module).__name__}): {reason}")


class Hook:
    """A hook that stays behind when the module is copied or saved: a copy is not traced, and has no hook to call."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *args):
        return self.function(*args)

    def __reduce__(self):
        return Hook, (_nothing,)


def _nothing(*args) -> None:
    pass


class Watch:
    """One recurrent module: counts the backward passes through it, and has every `every`-th of them measured.

    A backward pass is counted when it reaches the module, so a forward pass that none follows counts nothing, and what
    was kept of it dies with its graph. References lead from the graph to the call and never back: no cycle that would
    have to wait for the garbage collector. (`register_multi_grad_hook` makes one.)

    Args:
        measure: called at the end of a backward pass that is due, once for each call of the module in it.
    """

    def __init__(self, name: str, module: nn.Module, every: int, measure: Callable[["Visit"], None]):
        self.name, self.module, self.every, self.measure = name, module, every, measure
        self.passes = self.calls = 0
        self.current: int | None = None
        self.random_state: Tensor | None = None
        self.handles: list = []

    def start(self) -> None:
        self.handles = [
            self.module.register_forward_pre_hook(Hook(self.before), with_kwargs=True),
            self.module.register_forward_hook(Hook(self.after), with_kwargs=True, prepend=True),
        ]

    def stop(self) -> None:
        while self.handles:
            self.handles.pop().remove()

    def before(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        acts = isinstance(module, FOREIGN) and dropout_acts(module) and torch.is_grad_enabled()
        self.random_state = torch.get_rng_state() if acts else None

    def after(self, module: nn.Module, args: tuple, kwargs: dict, output: tuple) -> None:
        outputs = outputs_of(output) if torch.is_grad_enabled() else {}
        outputs = {name: v for name, v in outputs.items() if v.requires_grad and v.numel()}
        if not outputs:
            return
        self._refuse_what_no_hook_sees(outputs["out"])
        if isinstance(module, Stack):
            call: Call = StackCall(output[1])
        else:
            call = ForeignCall(module, args, kwargs, output, self.random_state)
        visit = Visit(self, call, self.calls)
        self.calls += 1
        for name, v in outputs.items():
            base = v._base if v._is_view() else None
            source = v if base is None or base.grad_fn is None else base
            seen = None if source is v else (_geometry(source), _geometry(v))
            source.grad_fn.register_prehook(partial(visit.arrive, name, source.output_nr, seen))

    def _refuse_what_no_hook_sees(self, out: Tensor) -> None:
        if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
            raise NotImplementedError(f"trace cannot follow {self.name!r} inside torch.compile or torch.func")
        if self.random_state is not None and out.device.type != "cpu":
            raise NotImplementedError(
                f"trace cannot repeat {self.name!r}: the mask of its dropout between layers is known on the CPU alone, "
                f"got {out.device.type}; use one module per layer with torch.nn.Dropout between them"
            )

    def number(self, backward_pass: int) -> int:
        """The number of this backward pass: one for all calls that it goes through."""
        if backward_pass != self.current:
            self.current, self.passes = backward_pass, self.passes + 1
        return self.passes - 1


class Visit:
    """A call and the backward passes that go through it: collects the gradients of what the call returned.

    A pre-hook of an autograd node gets them as they go on into the module, after every hook of the user's own. When the
    engine is done with the whole pass, all have come that will come.
    """

    def __init__(self, watch: Watch, call: Call, index: int):
        self.watch, self.call, self.index = watch, call, index
        self.outer = torch._C._current_graph_task_id()  # not -1: a checkpoint runs the call again, inside a backward
        self.task, self.step, self.keep = -1, -1, False
        self.found: dict[str, Tensor] = {}

    @property
    def order(self) -> tuple[int, int]:
        """Sorts the calls of one backward pass by forward time; checkpoints are run again last one first."""
        return -self.task, self.index

    def arrive(
        self, name: str, index: int, view: tuple[Geometry, Geometry] | None, grads: tuple[Tensor | None, ...]
    ) -> None:
        """One node's gradients; `index` is the place among them of the output `name`, or of what it is a view of."""
        if not self.watch.handles or self.call is None:
            return
        task = torch._C._current_graph_task_id()
        if task != self.task:
            self._begin(task)
        if self.due and grads[index] is not None:
            self.found[name] = grads[index] if view is None else as_view(grads[index], *view)

    def _begin(self, task: int) -> None:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                f"trace cannot follow {self.watch.name!r} through create_graph=True: "
                "what a second derivative sends into the module does not pass through its outputs"
            )
        self.task, self.found = task, {}
        self.step = self.watch.number(task if self.outer == -1 else self.outer)
        self.due = self.step % self.watch.every == 0
        self.keep = torch._C._autograd._get_current_graph_task_keep_graph()
        if self.due:
            self.call.freeze()
            torch.autograd.Variable._execution_engine.queue_callback(self._end)
        elif not self.keep:
            self.call = None

    def _end(self) -> None:
        try:
            if self.found:
                self.watch.measure(self)
        finally:
            self.found = {}
            if not self.keep:
                self.call = None


def _geometry(v: Tensor) -> Geometry:
    return v.shape, v.stride(), v.storage_offset()


def as_view(gradient: Tensor, of_base: Geometry, of_view: Geometry) -> Tensor:
    """The gradient of a view from that of its base: laid out in memory as the base was, and seen as the view sees it.

    The base is where to listen: when the user changes a view in place, autograd gives the view another node.
    """
    (shape, strides, first), (view_shape, view_strides, offset) = of_base, of_view
    laid_out = gradient.new_empty_strided(shape, strides).copy_(gradient)
    return laid_out.as_strided(view_shape, view_strides, offset - first)
