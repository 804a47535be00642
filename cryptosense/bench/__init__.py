"""How fast it is, beside its peers and beside the floor.

A program of its own (`cryptosense bench`); nothing imports it. Every figure is a ratio to a floor that was measured in
the same rounds, so it carries over to other machines.
"""
