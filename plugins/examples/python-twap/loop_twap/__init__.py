"""A time-weighted average price over OCR3 as a LOOP plugin: see README.md."""

__version__ = "0.0.0"  # a release sets its own
