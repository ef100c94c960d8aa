"""HTTP: metrics, health and the read-only API on TCP; the verbs on a unix socket of the owner."""
