"""How a run goes: conducted, executed as notebooks, gathered, judged, shown, opened and judged again.

One experiment, one read: `conduct` writes the plan, keeps the history and has it judged. One run, one read: `run` has
each experiment's notebook executed in a process of its own, gathers what they left and has the report written.
"""
