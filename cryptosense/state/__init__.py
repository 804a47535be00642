"""What is remembered: contracts, an in-memory and a Redis implementation, and the six-stage join of the two."""
