from collections.abc import Callable

import jaxtyping
import pytest

checked = jaxtyping.jaxtyped


def jaxtyped(*, typechecker: Callable) -> Callable:
    """What the import hook puts on every function, but for those inside others: they are made anew at each call, and
    two milliseconds of writing a checker for each were a third of the time of the engine's tests."""
    check = checked(typechecker=typechecker)
    return lambda found: found if "<locals>" in getattr(found, "__qualname__", "") else check(found)


jaxtyping.jaxtyped = jaxtyped


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
