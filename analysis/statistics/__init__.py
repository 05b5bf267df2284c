"""Numbers of runs and of sweeps: what varies, what is measured, its spread over seeds, and what is wrong."""
