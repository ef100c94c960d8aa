"""The embedded cloud: machines that are real, on this host.

One host process per directory serves every machine of that directory over SSH; it outlives the
controller that started it, and ends by itself when it has neither a machine nor a client.
"""
