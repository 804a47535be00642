"""Clients that speak the wire contract, or a target profile's dialect of it, and record every exchange.

    async with Wire(deployment.target, lab.recorder) as wire:
        alice = await wire.account("alice", phase="csrf")   # signed up and in, from an address of its own
        await alice.fetch_csrf()
        await alice.post_csrf()                             # presents the newest token, follows the successor

A `Caller` goes round robin over the target's addresses unless told an `instance`. Each exchange is one `Operation`:
secrets appear as short digests; an answer below 400 is OK, any other answer FAILED, no answer after sending UNKNOWN,
and a connection that was never made FAILED without a status. Bulk load is not driven from here (httpx spends forty
times the CPU of aiohttp), see `load/`.
"""

from cryptosense.workbench.client.caller import Caller, Credentials
from cryptosense.workbench.client.exchange import Reply, digest
from cryptosense.workbench.client.gate import Gate
from cryptosense.workbench.client.wire import Wire

__all__ = ["Caller", "Credentials", "Gate", "Reply", "Wire", "digest"]
