"""How a machine of the embedded cloud is kept apart from this host: one module per level."""
