"""What tests of the workbench's processes share."""

import sys
from pathlib import Path

import pytest

STANDIN = Path(__file__).parent / "topology" / "standin.py"


@pytest.fixture
def standin(monkeypatch):
    """Has deployments start the stand-in, which is up in a fraction of the time, for the reference service."""

    def command(_service, *, host, port):
        return [sys.executable, str(STANDIN), "--host", host, "--port", str(port)]

    monkeypatch.setattr("cryptosense.workbench.topology.instances.service_command", command)
    return STANDIN
