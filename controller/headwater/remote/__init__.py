"""Lines to the agents on the machines, over SSH."""
