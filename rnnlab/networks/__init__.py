"""Cells made into networks: layers, directions, readout; and the adjoints of all of it."""

from rnnlab.networks.adjoints import Adjoints, Take, adjoints
from rnnlab.networks.encoder_decoder import EncoderDecoder
from rnnlab.networks.stack import Stack
from rnnlab.networks.stream import Stream
from rnnlab.networks.trajectory import Pass, Trajectory

__all__ = ["Adjoints", "EncoderDecoder", "Pass", "Stack", "Stream", "Take", "Trajectory", "adjoints"]
