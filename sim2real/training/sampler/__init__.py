"""Envs in worker processes, several in each, with what they show in shared memory."""
