"""Units of work for worker processes that may die."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from typing import Any, Protocol, Self

from hydra_plugins.rnnlab_sweeps._worker import PATIENCE, Answer, Died, Lines, Worker

ATTEMPTS = 2  # at a unit that ends its process
STILLBORN = 4  # workers that die before they begin are no accident any more


class Unit(Protocol):
    """What is given to a worker at once."""

    job: int  # units of one job are cheaper in one worker


class Pool:
    """As many workers as there is work for, at most `size`; a context that leaves no process behind.

    Args:
        make: is called once in each worker, and returns what is then called with each unit.
        preload: modules that all workers need, imported once.
    """

    def __init__(self, make: Callable[[], Answer], size: int, preload: Sequence[str] = ()) -> None:
        self._make, self._size, self._preload = make, size, preload
        self._workers: list[Worker] = []

    def run(self, units: Sequence[Unit]) -> Iterator[tuple[int, Any]]:
        """The place of each unit and the answer to it, as they come; `Died` if the unit ended two processes."""
        queues: dict[int, deque[int]] = {}
        for place, unit in enumerate(units):
            queues.setdefault(unit.job, deque()).append(place)
        deaths: Counter[int | None] = Counter()
        left = len(units)
        while left:
            while len(self._workers) < min(self._size, left):
                self._workers.append(Worker(self._make, self._preload))
            for worker in self._workers:
                if worker.ready and worker.place is None and any(queues.values()):
                    place = (queues.get(worker.job) or max(queues.values(), key=len)).popleft()
                    worker.give(place, units[place])
            for worker in self._listen():
                place, worker.place = worker.place, None
                try:
                    answer = worker.receive()
                except Died as error:
                    self._workers.remove(worker)
                    answer = error
                    deaths[place if worker.ready else None] += 1
                    if deaths[None] >= STILLBORN:
                        raise Died(f"a worker cannot begin: {error}") from None
                    if place is not None and deaths[place] < ATTEMPTS:
                        queues[units[place].job].appendleft(place)
                        place = None
                worker.ready = True
                if place is not None:
                    left -= 1
                    yield place, answer

    def _listen(self, timeout: float | None = None, answers: bool = True) -> list[Worker]:
        """Pass on what the workers write; returns those that have answered or are dead."""
        whose: dict[Any, Worker | Lines] = {}
        for worker in self._workers:
            whose |= {worker.process.sentinel: worker} | ({worker.pipe: worker} if answers else {})
            whose |= {lines: lines for lines in worker.lines if lines.open}
        found = {id(whose[end]): whose[end] for end in connection.wait(list(whose), timeout)}
        for lines in found.values():
            if isinstance(lines, Lines):
                lines.pass_on()
        return [worker for worker in found.values() if isinstance(worker, Worker)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        until = time.monotonic() + PATIENCE
        try:
            for worker in self._workers:
                worker.ask_to_end()
            while self._workers and (left := until - time.monotonic()) > 0:
                for worker in self._listen(left, answers=False):
                    self._workers.remove(worker)
                    worker.end()
        finally:  # the time is over, or Ctrl-C was pressed once more
            for worker in self._workers:
                worker.end(patience=0)
