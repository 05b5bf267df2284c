import jaxtyping
import pytest


@pytest.fixture
def as_a_user(monkeypatch):
    """Without the type checker of the test run, which would refuse a wrong type before our own ValueError can."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
