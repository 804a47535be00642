"""Somebody else's deployment: how it is described, what may be done to it, and what of it can be tested."""
