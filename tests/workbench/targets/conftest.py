"""The shop of somebody else's, as its owner starts it: own processes, own store, a load balancer."""

import asyncio
import json
import shutil
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from cryptosense.workbench.experiments import find_experiment
from cryptosense.workbench.progress import ProgressLog
from cryptosense.workbench.run.conduct import conduct_experiment
from cryptosense.workbench.run.surroundings import Surroundings
from cryptosense.workbench.target import Hooks, Target, UpstreamProfile
from cryptosense.workbench.targets.ceilings import Ceilings
from cryptosense.workbench.targets.profile_file import load_profile
from cryptosense.workbench.topology.process import ManagedProcess
from cryptosense.workbench.topology.servers import find_server, start_standalone

FOREIGN = Path(__file__).parents[2] / "foreign"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
PLENTY = Ceilings(rate=5000, concurrency=500, seconds=300, accounts=200)

_CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_buffer_size 2m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream shop {{ {servers} keepalive 32; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://shop;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""


class Listening(ManagedProcess):
    """A process that is up when its port takes connections."""

    port = 0

    async def answers(self):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


@dataclass(frozen=True)
class Shop:
    """Addresses of its instances and of its load balancer (None where there is no nginx), and its store's process."""

    instances: tuple
    balancer: str | None
    store: object

    @property
    def description(self):
        """The profile that its owner wrote."""
        return (FOREIGN / "target.toml").read_text()

    def target(self, *urls, **changes):
        """The target as its owner describes it, with commands that take the store away and bring it back."""
        hooks = Hooks(fault={"outage": f"kill -STOP {self.store.pid}"}, heal={"outage": f"kill -CONT {self.store.pid}"})
        upstream = UpstreamProfile(calls_url=f"{self.instances[0]}/upstream-calls")
        profile = load_profile(FOREIGN / "target.toml").model_copy(
            update={"hooks": hooks, "upstream": upstream, **changes}
        )
        return Target(urls=urls or (self.balancer or self.instances[0],), profile=profile, foreign=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def running_shop(folder, *flaws, instances=1, balanced=False):
    """Starts the shop and ends it, whatever happened in between."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(await start_standalone(folder / "store"))
        ports = [free_port() for _ in range(instances)]
        for number, port in enumerate(ports):
            command = [sys.executable, str(FOREIGN / "shop.py"), str(port), store.url, *flaws]
            await _start(stack, f"shop-{number}", command, folder, port)
        balancer = await _balance(stack, folder, ports) if balanced else None
        yield Shop(tuple(f"http://127.0.0.1:{port}" for port in ports), balancer, store)


@dataclass(frozen=True)
class KeptShop:
    """A shop under its owner's process keeper: its addresses, and the shell commands that tell the keeper things."""

    urls: tuple
    keeper: int

    def command(self, verb, *names):
        """For a hook: returns when the thing is done."""
        return f"{sys.executable} {FOREIGN / 'keeper.py'} tell {self.keeper} {verb} {' '.join(names)}"

    def target(self, **hooks):
        """The target as its owner describes it, with these hooks."""
        profile = load_profile(FOREIGN / "target.toml").model_copy(update={"hooks": Hooks(**hooks)})
        return Target(urls=self.urls, profile=profile, foreign=True)


@asynccontextmanager
async def kept_shop(folder, *flaws, instances=1, balanced=False, durable=True, afterwards=("own-memory",)):
    """The shop with its store, started by the keeper and ended with it.

    `replace shop-0` starts it anew with the flaws in `afterwards`: by default as it was before its state went to Redis.
    """
    store, ports, control = free_port(), [free_port() for _ in range(instances)], free_port()
    (folder / "data").mkdir(parents=True)
    keep = ["--appendonly", "yes", "--dir", str(folder / "data")] if durable else ["--save", ""]
    server = [str(find_server().path), "--port", str(store), "--bind", "127.0.0.1", *keep]
    services = {"store": {"command": server, "port": store}}
    for number, port in enumerate(ports):
        shop = [sys.executable, str(FOREIGN / "shop.py"), str(port), f"redis://127.0.0.1:{store}"]
        services[f"shop-{number}"] = {"command": [*shop, *flaws], "port": port, "replacement": [*shop, *afterwards]}
    (folder / "services.json").write_text(json.dumps(services))
    async with AsyncExitStack() as stack:
        command = [sys.executable, str(FOREIGN / "keeper.py"), "keep", str(folder / "services.json"), str(control)]
        keeper = Listening("keeper", command, folder=folder)
        keeper.port = control
        stack.push_async_callback(keeper.terminate)
        await keeper.start()
        balancer = await _balance(stack, folder, ports) if balanced else None
        yield KeptShop((balancer,) if balancer else tuple(f"http://127.0.0.1:{port}" for port in ports), control)


async def _balance(stack, folder, ports):
    port, home = free_port(), folder / "nginx"
    home.mkdir()
    servers = " ".join(f"server 127.0.0.1:{one};" for one in ports)
    configuration = home / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=home, servers=servers, port=port))
    await _start(stack, "nginx", [NGINX, "-p", str(home), "-c", str(configuration)], folder, port)
    return f"http://127.0.0.1:{port}"


async def _start(stack, name, command, folder, port):
    process = Listening(name, command, folder=folder)
    process.port = port
    stack.push_async_callback(process.kill)
    await process.start()


@pytest.fixture
def granted(monkeypatch):
    """What the command line passes on to the process that loads a target."""
    monkeypatch.setenv("CRYPTOSENSE_TARGET", "{}")
    monkeypatch.setenv("CRYPTOSENSE_CEILINGS", json.dumps(asdict(PLENTY)))


@pytest.fixture
def nginx():
    if NGINX is None:
        pytest.skip("not installed: nginx")


@pytest.fixture(name="running_shop")
def _running_shop():
    return running_shop


@pytest.fixture(name="kept_shop")
def _kept_shop():
    return kept_shop


@pytest.fixture(name="conduct")
def _conduct():
    return conduct


async def conduct(name, target, folder, **parameters):
    """Conducts the experiment against the target; its claims by id."""
    experiment = find_experiment(name)
    home = folder / "run-7" / name
    home.mkdir(parents=True)
    surroundings = Surroundings(folder=home, target=target.model_dump_json())
    with ProgressLog(home / "progress.jsonl") as progress:
        verdicts = await conduct_experiment(
            experiment, experiment.parameters(**parameters), home, surroundings, progress
        )
    assert not verdicts.reason, verdicts.reason
    return {claim.id: claim for claim in verdicts.claims}
