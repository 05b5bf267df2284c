import jaxtyping
import pytest


@pytest.fixture
def as_a_user(monkeypatch):
    """Without the type checker of the test run, which would refuse a wrong type before our own ValueError can."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session", autouse=True)
def fabricated_data(tmp_path_factory):
    """Data sets that do not ship are fabricated ones in all tests, whatever the user has."""
    from tests.rnnlab.tasks import fiddle  # here, after the type checker has been put between

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNLAB_DATA", str(tmp_path_factory.mktemp("data")))
        fiddle.write(100)
        yield
