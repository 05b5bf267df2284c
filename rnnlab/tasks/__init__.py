"""Sequence problems: one task per file, each with its loss, its chance level and its published criterion."""
