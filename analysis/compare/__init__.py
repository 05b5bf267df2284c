"""Two sweeps side by side: `python -m analysis.compare A B`."""
