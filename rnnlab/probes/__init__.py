"""Measurements of a training step, one topic per file."""

from rnnlab.probes.base import Moment, Probe, Reading
from rnnlab.probes.losses import StepLosses
from rnnlab.probes.profile import Profile
from rnnlab.probes.schedule import Decades, Every

__all__ = ["Decades", "Every", "Moment", "Probe", "Profile", "Reading", "StepLosses"]
