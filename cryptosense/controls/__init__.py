"""Flawed services: the reference with one part built wrong, each the control of a claim.

A control proves that a claim can see: on it the claim must come out VIOLATED. Most flaws are the migration plan's code
as it was written. `python -m cryptosense.controls NAME --host H --port P` runs one, exactly as `cryptosense.http` runs
the reference; the reference knows nothing of them.
"""
