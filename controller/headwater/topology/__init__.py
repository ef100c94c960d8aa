"""Desired and observed systems, as plain values. Pure: no I/O, and time is an argument."""
