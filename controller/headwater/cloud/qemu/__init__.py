"""Machines of QEMU on this host, without root.

A libcloud driver like any other: it knows nothing of manifests, tags or plans.
"""
