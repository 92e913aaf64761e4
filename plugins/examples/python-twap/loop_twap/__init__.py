"""A time-weighted average price over OCR3 as a LOOP plugin: see README.md."""
