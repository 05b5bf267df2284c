"""Measurements of a training step, one topic per file."""

from rnnlab.probes.base import Moment, Probe, Reading
from rnnlab.probes.drive import Drive
from rnnlab.probes.losses import StepLosses
from rnnlab.probes.profile import Profile
from rnnlab.probes.saturation import Saturation
from rnnlab.probes.schedule import Decades, Every
from rnnlab.probes.spectrum import Spectrum
from rnnlab.probes.states import States
from rnnlab.probes.surface import Surface
from rnnlab.probes.truncation import Truncation
from rnnlab.probes.weights import Weights

__all__ = [
    "Decades",
    "Drive",
    "Every",
    "Moment",
    "Probe",
    "Profile",
    "Reading",
    "Saturation",
    "Spectrum",
    "States",
    "StepLosses",
    "Surface",
    "Truncation",
    "Weights",
]
