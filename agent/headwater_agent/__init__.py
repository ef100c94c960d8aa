"""The agent that runs on each machine. Standard library only, Python 3.6 or newer."""
