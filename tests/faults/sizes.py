"""Sizes of the tiny run that faults have to meet."""

CLASSES = 4
TRAINED, JUDGED = 40, 32  # sides of its pictures, in pixels
