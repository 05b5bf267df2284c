"""Who may import whom: the table of the design, held against the imports that stand in the code."""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path for part in ("rnnlab", "experiments", "analysis", "hydra_plugins") for path in ROOT.glob(f"{part}/**/*.py")
)
OURS = {"rnnlab", "experiments", "analysis", "hydra_plugins", "tests"}

# part: (what of ours it may import beside itself, what of others). A longer name goes before a shorter one.
SCIENCE = {"torch", "numpy", "jaxtyping"}
ENGINE = {"rnnlab.cells", "rnnlab.scaled", "rnnlab.scan"}
RULES: dict[str, tuple[set[str], set[str]]] = {
    "rnnlab.theory": (set(), {"numpy", "jaxtyping"}),
    "rnnlab.cells": (set(), SCIENCE),
    "rnnlab.tasks": (set(), SCIENCE),
    "rnnlab.inits": ({"rnnlab.theory"}, SCIENCE),
    "rnnlab.constraints": ({"rnnlab.cells"}, SCIENCE),
    "rnnlab.scaled": (set(), SCIENCE),  # the number type of the scan, in a file of its own
    "rnnlab.kernels": ({"rnnlab.cells"}, SCIENCE),
    "rnnlab.statistics": (set(), SCIENCE),
    "rnnlab.scan": ({"rnnlab.cells", "rnnlab.kernels", "rnnlab.scaled"}, SCIENCE),
    "rnnlab.networks": (ENGINE, SCIENCE),
    "rnnlab.scalar": ({"rnnlab.cells"}, SCIENCE),
    "rnnlab.probes": ({*ENGINE, "rnnlab.networks", "rnnlab.scalar", "rnnlab.statistics", "rnnlab.theory"}, SCIENCE),
    "rnnlab.regularisers": ({*ENGINE, "rnnlab.networks"}, SCIENCE),
    "rnnlab.tracing": ({*ENGINE, "rnnlab.kernels", "rnnlab.networks", "rnnlab.statistics"}, SCIENCE),
    "rnnlab.predictions": ({"rnnlab.cells", "rnnlab.networks", "rnnlab.theory"}, SCIENCE),
    "rnnlab.train": ({"rnnlab"}, SCIENCE),
    "experiments": ({"rnnlab", "analysis"}, {*SCIENCE, "hydra", "omegaconf", "rich", "wandb", "wandb_workspaces"}),
    "hydra_plugins": ({"experiments.records", "experiments.sweeps", "experiments.progress"}, {"hydra", "omegaconf"}),
    "analysis": (set(), {"numpy", "pandas", "matplotlib", "seaborn"}),
}
INSIDE_FUNCTIONS = {"rnnlab.tracing": {"pandas", "matplotlib"}, "experiments": {"pyarrow"}}


class Import(NamedTuple):
    """One imported name, as an absolute dotted path; `lazy` if a function must run for it."""

    name: str
    line: int
    lazy: bool


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, package: str) -> Iterator[Import]:
    """Every import of a source text; `package` is what its relative imports start from."""

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (Import(f"{base}.{alias.name}", node.lineno, lazy) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    yield from walk(ast.parse(source), lazy=False)


def within(name: str, parts: set[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What the module imports and may not, one line each."""
    part = next((part for part in RULES if within(module, {part})), None)
    if part is None:
        # The front door of the library may show all of it; any other file needs a row in the table.
        return [] if module == "rnnlab" else [f"{module} has no row in the table of who may import whom"]
    ours, others = RULES[part]
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for name, line, lazy in imports(source, package):
        top = name.partition(".")[0]
        if top in OURS:
            allowed = within(name, {part, *ours})
        else:
            free = others | (INSIDE_FUNCTIONS.get(part, set()) if lazy else set())
            allowed = top in sys.stdlib_module_names or top in free
        if not allowed:
            found.append(f"{module}:{line} may not import {name}")
    return found


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_each_file_imports_only_what_its_part_may(path):
    assert violations(module_of(path), path.read_text(), is_package=path.stem == "__init__") == []


def test_imports_make_no_cycle():
    modules = {module_of(path): path for path in FILES}
    graph = {}
    for module, path in modules.items():
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        names = [name for name, _, lazy in imports(path.read_text(), package) if not lazy]
        targets = {name if name in modules else name.rpartition(".")[0] for name in names}
        graph[module] = (targets & set(modules)) - {module}
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize(
    ("module", "source", "fine"),
    [
        ("rnnlab.cells.bad", "from rnnlab.scan import scan", False),
        ("rnnlab.cells.bad", "from rnnlab import scan", False),
        ("rnnlab.cells.bad", "import rnnlab.tasks.adding", False),
        ("rnnlab.cells.good", "from rnnlab.cells.base import Cell\nimport math, torch", True),
        ("rnnlab.cells.good", "from .base import Cell", True),
        ("rnnlab.cells.bad", "from ..scan import scan", False),
        ("rnnlab.cells.bad", "from .. import scan", False),
        ("rnnlab.cells.bad", "def late():\n    from rnnlab.probes import profile", False),
        ("rnnlab.cells.bad", "if True:\n    import wandb", False),
        ("rnnlab.tasks.bad", "from omegaconf import DictConfig", False),
        ("rnnlab.theory", "import torch", False),
        ("rnnlab.scan", "from rnnlab.scanner import x", False),
        ("rnnlab.networks.good", "from rnnlab.scan import scan", True),
        ("rnnlab.train", "from rnnlab.probes import profile", True),
        ("rnnlab.train", "from experiments.records import Record", False),
        ("rnnlab.train", "import hydra", False),
        ("rnnlab.tracing", "import pandas", False),
        ("rnnlab.tracing", "class Trace:\n    def table(self):\n        import pandas as pd", True),
        ("rnnlab.tracing", "def figure():\n    from matplotlib.figure import Figure", True),
        ("rnnlab.tracing", "def figure():\n    import seaborn", False),
        ("rnnlab.new", "", False),
        (
            "experiments.good",
            "import hydra, wandb\nfrom rnnlab import train\nfrom analysis import tables",
            True,
        ),
        ("experiments.bad", "from hydra_plugins.pack import Pack", False),
        ("hydra_plugins.good", "from hydra import core\nfrom experiments.records import run_id", True),
        ("hydra_plugins.bad", "from experiments.train import main", False),
        ("hydra_plugins.bad", "from experiments import train", False),
        ("analysis.good", "import numpy, pandas, seaborn, json\nfrom matplotlib.figure import Figure", True),
        ("analysis.bad", "import torch", False),
        ("analysis.bad", "import torchvision", False),
        ("analysis.bad", "def late():\n    from rnnlab import theory", False),
        ("analysis.bad", "from experiments.records import strict", False),
        ("analysis.bad", "import tests.analysis.fabricate", False),
    ],
)
def test_the_checker_sees_a_broken_rule(module, source, fine):
    assert (violations(module, source) == []) == fine


def test_the_checker_has_files_to_check():
    assert {"experiments.records", "rnnlab.scan"} <= {module_of(path) for path in FILES}
