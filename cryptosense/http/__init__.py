"""How the service is asked: the app, its wiring, the guards, one reply table and a file per resource.

One request, one read: `frame` (request id, log, metrics) → `guards` (the checks that a route asks for, in one order)
→ a resource → a service → `replies`.
"""
