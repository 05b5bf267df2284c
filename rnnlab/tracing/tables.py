"""What was measured as tidy tables and as a picture."""

from collections.abc import Sequence

from rnnlab.statistics import STATISTICS
from rnnlab.tracing.measure import Profile, Share, Where

STEPS = 8  # in one picture
COLUMNS = [("forward", "h"), ("backward", "h"), ("forward", "c"), ("backward", "c")]


def calls_of(series: Sequence[Profile | Share]) -> dict[Where, int]:
    """The number of the call that each series belongs to: 0, 1, ... in forward order within a backward pass."""
    orders: dict[tuple[int, str], set] = {}
    for where in (s.where for s in series):
        orders.setdefault((where.step, where.module), set()).add(where.order)
    ranks = {key: {order: rank for rank, order in enumerate(sorted(found))} for key, found in orders.items()}
    return {s.where: ranks[s.where.step, s.where.module][s.where.order] for s in series}


def profile_table(profiles: Sequence[Profile]) -> "pandas.DataFrame":
    """One row per step, module, call, layer, direction, part, gate, statistic and time."""
    import pandas

    calls = calls_of(profiles)
    columns = ["step", "module", "call", "layer", "direction", "part", "gate", "time", "statistic", "log10"]
    tables = [pandas.DataFrame(columns=[*columns, "zeros", "nonfinite"])] if not profiles else []
    for where, statistics, zeros, nonfinite in profiles:
        K, T = statistics.shape
        named = {"step": where.step, "module": where.module, "call": calls[where], "layer": where.layer}
        named |= {"direction": where.direction, "part": where.part, "gate": where.gate}
        named |= {"time": [*range(T)] * K, "statistic": [name for name in STATISTICS for _ in range(T)]}
        counts = {"zeros": zeros.repeat(K).numpy(), "nonfinite": nonfinite.repeat(K).numpy()}
        tables.append(pandas.DataFrame({**named, "log10": statistics.flatten().numpy(), **counts}))
    return pandas.concat(tables, ignore_index=True)


def weight_table(shares: Sequence[Share]) -> "pandas.DataFrame":
    """One row per step, module, call, layer, direction, gate and time."""
    import pandas

    calls = calls_of(shares)
    columns = ["step", "module", "call", "layer", "direction", "gate", "time", "log10", "cancellation"]
    tables = [pandas.DataFrame(columns=columns)] if not shares else []
    for where, log10, cancellation in shares:
        named = {"step": where.step, "module": where.module, "call": calls[where], "layer": where.layer}
        named |= {"direction": where.direction, "gate": where.gate, "time": range(len(log10))}
        tables.append(pandas.DataFrame({**named, "log10": log10.numpy(), "cancellation": cancellation}))
    return pandas.concat(tables, ignore_index=True)


def picture(profiles: Sequence[Profile]) -> "matplotlib.figure.Figure":
    """Median over the samples of log10 of each norm over time: a row per module and layer, a column per direction and
    part, colour from the first to the last step. A zero, which has no logarithm, is a gap."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    shown = [p for p in profiles if p.where.part in ("h", "c")]
    rows = sorted({(p.where.module, p.where.layer) for p in shown})
    columns = sorted({(p.where.direction, p.where.part) for p in shown}, key=COLUMNS.index)
    every = sorted({p.where.step for p in shown})
    steps = {every[round(k * (len(every) - 1) / (STEPS - 1))] for k in range(STEPS)}
    colour = ScalarMappable(Normalize(every[0], every[-1] or 1), colormaps["viridis_r"])
    figure = Figure(figsize=(1.5 + 2.6 * len(columns), 0.6 + 1.9 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), sharex=True, sharey="row", squeeze=False)
    for where, statistics, *_ in shown:
        if where.step in steps:
            ax = axes[rows.index((where.module, where.layer)), columns.index((where.direction, where.part))]
            median = statistics[STATISTICS.index("q50")].numpy()
            points = {"marker": ".", "markersize": 2}  # a finite value among zeros is no line
            ax.plot(median, color=colour.to_rgba(where.step), linewidth=1, **points)
    for (direction, part), ax in zip(columns, axes[0], strict=True):
        ax.set_title(f"||dL/d{part}_t||, {direction}", fontsize="medium")
    for (module, layer), ax in zip(rows, axes[:, 0], strict=True):
        ax.set_ylabel(f"{module}, layer {layer}\nlog10 norm")
    for ax in axes[-1]:
        ax.set_xlabel("time t")
    for ax in axes.flat:
        ax.set_visible(ax.has_data())
    figure.colorbar(colour, ax=axes, label="backward passes so far")
    return figure
