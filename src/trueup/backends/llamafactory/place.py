"""From settings to the commands that run there: pure.

Each thing that can be missing has an exit status of its own, so that it can be told.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from typing import Any

from trueup.backends.llamafactory.deploy import worker_name
from trueup.backends.llamafactory.templates import known_name
from trueup.config.llamafactory_settings import LlamaFactorySettings

NO_DIRECTORY = 41
NO_ENVIRONMENT = 44
NO_PYTHON = 45
# Our own file, which a cleaner of caches may have taken.
NO_FILE = 46
NO_SCRIPT = 51
# Far side: `attach` where nobody listens.
NO_WORKER = 47
KEY = "TRUEUP_API_KEY"
# Below the home of a host's user; below TRUEUP_HOME on this machine.
REMOTE_ROOT = '"$HOME"/.cache/trueup/llamafactory'
# Where conda is looked for, beside what CONDA_EXE says and what it has written down itself.
CONDAS = (
    "~/miniconda3 ~/anaconda3 ~/miniforge3 ~/mambaforge ~/micromamba ~/.conda /opt/conda "
    "/opt/miniconda3 /opt/anaconda3 /opt/miniforge3 /usr/local/miniconda3 /usr/local/anaconda3"
)


def key_of(settings: LlamaFactorySettings) -> str:
    """What tells one worker from another: 16 hexadecimal digits."""
    parts = [worker_name(), settings.mode, *_model(settings).values(), settings.work_dir,
             settings.conda_env, settings.python, settings.cli_path]  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def spec_of(settings: LlamaFactorySettings) -> dict[str, Any]:
    """What the far worker is told when it starts."""
    return {
        **_model(settings),
        "mode": settings.mode,
        "cli_path": settings.cli_path,
        "lease_seconds": settings.lease_seconds,
        # A cancelled answer ends at its next token: one that has none by then never will.
        "hung_seconds": settings.limits.between_tokens_seconds,
    }


def _model(settings: LlamaFactorySettings) -> dict[str, Any]:
    return {
        "base_model_path": settings.base_model_path,
        "adapter_path": settings.adapter_path,
        "template": known_name(settings.template),
        "default_system": settings.default_system,
        "infer_backend": settings.infer_backend,
    }


def root_command(root: str) -> str:
    """Makes the folder of workers and prints its path; `root` is shell text."""
    return f"umask 077; mkdir -p {root} && cd {root} && pwd -P"


def keep_command(settings: LlamaFactorySettings, root: str) -> str:
    """Starts the worker, where it does not live; its spec is a line of stdin."""
    # What is set for this server is no affair of LlamaFactory's.
    return f"unset {KEY}; {in_environment(settings)}; {_worker(settings, root, 'keep')}"


def attach_command(settings: LlamaFactorySettings, root: str) -> str:
    """Talks with the worker."""
    return f"{in_environment(settings)}; {_worker(settings, root, 'attach')}"


def script_command(settings: LlamaFactorySettings) -> str:
    """Runs the user's own script; its argument is all of stdin, quoted by nobody on the way."""
    script = _path(settings.script_path or "")
    # A shell looks for a name without a slash elsewhere.
    start = script if "/" in script else f"./{script}"
    if script.rstrip("'").endswith(".py"):
        start = f'"$python" -u {script}'
    here = f"[ -f {script} ] || exit {NO_SCRIPT}"
    return f'unset {KEY}; {in_environment(settings)}; {here}; exec {start} "$(cat)"'


def probe_command(settings: LlamaFactorySettings, root: str) -> str:
    """Looks at what the model needs there; `probe_spec` is a line of stdin."""
    file = shlex.quote(f"{root}/{worker_name()}")
    return f'{in_environment(settings)}; exec "$python" -u {file} probe'


def probe_spec(settings: LlamaFactorySettings) -> dict[str, Any]:
    """What is to be looked at."""
    names = {"cli_path": settings.cli_path, "script_path": settings.script_path}
    return {**_model(settings), **names}


def _worker(settings: LlamaFactorySettings, root: str, command: str) -> str:
    file = shlex.quote(f"{root}/{worker_name()}")
    folder = shlex.quote(f"{root}/{key_of(settings)}")
    return f'[ -f {file} ] || exit {NO_FILE}; exec "$python" -u {file} {command} --dir {folder}'


def in_environment(settings: LlamaFactorySettings) -> str:
    """Goes to the working directory and sets `$python`, the interpreter with LlamaFactory."""
    steps = []
    if settings.work_dir is not None:
        steps.append(f"cd {_path(settings.work_dir)} || exit {NO_DIRECTORY}")
    if settings.python is not None:
        steps.append(f"python={_path(settings.python)}")
        steps.append('[ -d "$python" ] && python=$python/bin/python')
    elif settings.conda_env is not None and "/" in settings.conda_env:
        steps.append(f"python={_path(settings.conda_env)}/bin/python")
    elif settings.conda_env is not None:
        steps.append(_named_environment(settings.conda_env))
    elif settings.cli_path is not None:
        steps.append(f"python=$(dirname {_path(settings.cli_path)})/python")
        steps.append('[ -x "$python" ] || python=$(command -v python3 || command -v python)')
    else:
        steps.append("python=$(command -v python || command -v python3)")
    steps.append(f'[ -x "$python" ] || {{ echo "no interpreter: $python" >&2; exit {NO_PYTHON}; }}')
    # What an environment's own programs, llamafactory-cli for one, are found by.
    steps.append('PATH=$(dirname "$python"):$PATH; export PATH')
    return "; ".join(steps)


def _named_environment(name: str) -> str:
    """Finds a conda environment by its name, without conda: its folder is all that is needed."""
    quoted = shlex.quote(name)
    return (
        f'python=; for base in "${{CONDA_EXE%/bin/conda}}" {CONDAS}; do '
        f"[ {quoted} = base ] && found=$base || found=$base/envs/{quoted}; "
        'if [ -x "$found/bin/python" ]; then python=$found/bin/python; break; fi; done; '
        'if [ -z "$python" ] && [ -r ~/.conda/environments.txt ]; then '
        f'while read -r found; do [ "${{found##*/}}" = {quoted} ] && [ -x "$found/bin/python" ] '
        "&& python=$found/bin/python; done < ~/.conda/environments.txt; fi; "
        f'[ -n "$python" ] || {{ echo "no conda environment "{quoted} >&2; '
        f"exit {NO_ENVIRONMENT}; }}"
    )


def _path(path: str) -> str:
    """A path as shell text; `~` is the home there."""
    if path == "~" or path.startswith("~/"):
        return '"$HOME"' + shlex.quote(path[1:]) if path != "~" else '"$HOME"'
    return shlex.quote(path)


def subjects(settings: LlamaFactorySettings) -> Mapping[int, str | None]:
    """What each exit status is about."""
    return {
        NO_DIRECTORY: settings.work_dir,
        NO_ENVIRONMENT: settings.conda_env,
        NO_SCRIPT: settings.script_path,
        NO_PYTHON: settings.python or settings.conda_env or "python",
    }
