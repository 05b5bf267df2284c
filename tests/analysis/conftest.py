"""Makes `fabricate` a fixture: the tests are imported by path, so they cannot import each other."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def fabricate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fabricate", Path(__file__).with_name("fabricate.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
