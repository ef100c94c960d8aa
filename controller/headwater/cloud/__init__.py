"""Clouds through libcloud: one gateway, an account per Cloud manifest, a driver per thread."""
