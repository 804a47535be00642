"""How it is doubted: topologies, load, faults, histories, claims, charts and reports.

The workbench starts the service as a separate process and talks HTTP to it; the two share no logic.
"""
