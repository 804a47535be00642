"""The process that executes one notebook: `python -m cryptosense.workbench.run.papermill_child REQUEST` (JSON).

It stands between the command line and the kernel so that nothing that happens to a kernel can take the command down.
Its exit code is 0 when every cell ran; otherwise `notebook-trouble.txt` in the experiment's folder says in one line
why not. It is not believed when it says nothing: the command line looks at the exit code as well.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config

from cryptosense.workbench.run.execution import TROUBLE
from cryptosense.workbench.topology.reaper import REAPER

_KERNEL_START_S = 120
_LONGEST_SOCKET = 100  # a Unix socket's path is limited to 104 bytes on macOS and 108 on Linux


class OwnKernel(AsyncKernelManager):
    """A kernel of this very Python, whatever kernel specs the user has; gone as soon as this process is."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        await super()._async_launch_kernel(kernel_cmd, **kw)
        # Until here only the kernel's own look at its parent, once a second, would end it after us.
        group = getattr(self.provisioner, "pgid", None)
        if group:
            REAPER.adopt(group)


def execute(request: dict[str, Any]) -> str:
    """Executes the notebook; the trouble that it met in one line, or nothing."""
    import papermill  # noqa: PLC0415 (after `main` has made its import quick)
    from nbclient.exceptions import DeadKernelError  # noqa: PLC0415
    from papermill.exceptions import PapermillExecutionError  # noqa: PLC0415

    output = Path(request["output"])
    # Sockets in a folder of the run's own: no ports to race for, and nothing left in the user's runtime folder.
    socket = Path(request["runtime"]) / "kernel-00000000-0000-0000-0000-000000000000-ipc-5"
    transport = "ipc" if len(str(socket)) < _LONGEST_SOCKET else "tcp"
    try:
        papermill.execute_notebook(
            request["notebook"],
            output,
            parameters=request["parameters"],
            kernel_name="python3",
            progress_bar=False,
            start_timeout=_KERNEL_START_S,
            iopub_timeout=_KERNEL_START_S,
            kernel_manager_class=OwnKernel,
            config=Config({"KernelManager": {"transport": transport}}),
            cwd=request["cwd"],
        )
    except PapermillExecutionError as error:
        return f"cell {error.cell_index} of the notebook failed: {error.ename}: {_first_line(error.evalue)}"
    except DeadKernelError:
        trouble = "the kernel died"
    except Exception as error:  # noqa: BLE001 — whatever it is becomes the experiment's reason
        trouble = f"the notebook could not be executed: {type(error).__name__}: {_first_line(str(error))}"
    else:
        return ""
    _say_so_in_the_notebook(output, trouble)
    return trouble


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _say_so_in_the_notebook(path: Path, trouble: str) -> None:
    """After a dead kernel papermill saves every cell as completed; a reader must not believe that."""
    import nbformat  # noqa: PLC0415 (see `execute`)

    if not path.exists():
        return
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(f"**This notebook did not come to its end: {trouble}.**"))
    nbformat.write(notebook, path)


def main() -> None:
    """Exit code 0 when every cell ran, 1 when not."""
    # Checking a notebook's JSON would first build the grammar of internationalised URLs, a second of processor time for
    # every notebook, and no field of a notebook is one. jsonschema goes without the grammar where it is missing.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None says "not installed"
    warnings.simplefilter("ignore")  # papermill's and nbclient's own, in a log that only trouble is read from
    request = json.loads(sys.argv[1])
    trouble = execute(request)
    if trouble:
        (Path(request["output"]).parent / TROUBLE).write_text(trouble + "\n", encoding="utf-8")
    sys.exit(1 if trouble else 0)


if __name__ == "__main__":
    main()
