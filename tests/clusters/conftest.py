import pytest

from tests.clusters import sweeps


@pytest.fixture
def start():
    with sweeps.starter() as start:
        yield start


@pytest.fixture(scope="session")
def here(tmp_path_factory):
    """What the runs come to on this machine, in one process."""
    out = tmp_path_factory.mktemp("here")
    with sweeps.starter() as start:
        code, output = sweeps.wait(start(out, "basic", *sweeps.TWO_PACKS))
    assert code == 0, output
    return sweeps.numbers(out / "single")
