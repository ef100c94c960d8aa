"""What to do next, and what became of it. Pure: no I/O, and time is an argument."""
