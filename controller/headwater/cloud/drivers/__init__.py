"""What libcloud's drivers can do, and how each is asked for it."""
