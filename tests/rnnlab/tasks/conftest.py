"""Every task of conf/task in turn: a test that takes `task` or `name` is run for each."""

import pytest

from rnnlab.tasks.base import Task
from tests.rnnlab.tasks.every import NAMES, make


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture
def task(name) -> Task:
    return make(name)
