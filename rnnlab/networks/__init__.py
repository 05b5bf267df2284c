"""Cells made into networks: layers, directions, readout; and the adjoints of all of it."""

from rnnlab.networks.adjoints import Adjoints, Take, adjoints
from rnnlab.networks.stack import Pass, Stack, Trajectory

__all__ = ["Adjoints", "Pass", "Stack", "Take", "Trajectory", "adjoints"]
