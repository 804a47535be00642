"""A read-only look at the Redis that is to carry the state.

`look` collects facts and writes nothing; `examine` judges them without a connection. What the account may not see is
in `Facts.denied`, and what depends on it is UNDECIDED.
"""

from cryptosense.workbench.preflight.checks import Examined, examine
from cryptosense.workbench.preflight.facts import Facts, look

__all__ = ["Examined", "Facts", "examine", "look"]
