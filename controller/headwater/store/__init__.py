"""What outlives the process, in one state directory. Losing it costs history, never machines."""
