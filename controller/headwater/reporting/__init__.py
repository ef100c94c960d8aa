"""What people and programs are told: logs, metrics, progress, the words of an answer.

Everything here listens or looks at a snapshot; nothing here decides.
"""
