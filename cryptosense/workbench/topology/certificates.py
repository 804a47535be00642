"""A certificate authority and a certificate for 127.0.0.1 and localhost, made by the `openssl` program for one run."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptosense.errors import CouldNotStart

_DAYS = "2"
_EXTENSIONS = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n"


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files. One pair serves as server and client certificate."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Makes the three files in `folder`.

    Raises:
        CouldNotStart: there is no `openssl` on the PATH, or it refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "extensions").write_text(_EXTENSIONS)
    _openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt"
        f" -days {_DAYS} -subj /CN=cryptosense-run -addext keyUsage=critical,keyCertSign,cRLSign",
    )
    _openssl(
        folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout own.key -out own.csr -subj /CN=localhost",
    )
    _openssl(
        folder,
        "x509 -req -in own.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out own.crt"
        f" -days {_DAYS} -extfile extensions",
    )
    for key in ("ca.key", "own.key"):
        (folder / key).chmod(0o600)
    return Certificates(folder / "ca.crt", folder / "own.crt", folder / "own.key")


def _openssl(folder: Path, arguments: str) -> None:
    try:
        told = subprocess.run(
            ["openssl", *arguments.split()], cwd=folder, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotStart(f"TLS needs the openssl program: {error}") from error
    if told.returncode != 0:
        raise CouldNotStart(f"openssl made no certificate: {told.stderr.strip().splitlines()[-1:]}")
