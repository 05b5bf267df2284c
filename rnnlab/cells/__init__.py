"""The cells, one per file."""

from rnnlab.cells.base import Cell
from rnnlab.cells.elman import Elman
from rnnlab.cells.gru import GRU
from rnnlab.cells.lstm import LSTM
from rnnlab.cells.projected import ProjectedLSTM

__all__ = ["GRU", "LSTM", "Cell", "Elman", "ProjectedLSTM"]
