from rnnlab.cells.base import Cell


class DeepTransition(Cell):
    def __init__(self, inputs, size, *, cell, maps, shortcut):
        raise NotImplementedError

    def step(self, z, s): ...
