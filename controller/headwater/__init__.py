"""GitOps reconciliation of multi-machine systems."""
