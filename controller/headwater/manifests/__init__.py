"""What the user writes: resources, how they are read, and every error with its place. Pure."""
