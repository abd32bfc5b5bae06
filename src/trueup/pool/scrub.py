"""The environment variables that a worker's process is started with."""

from __future__ import annotations

import os
from collections.abc import Mapping

NAMES = frozenset(
    {"PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH",
     "TRUEUP_HOME", "VIRTUAL_ENV", "TOKENIZERS_PARALLELISM", "MALLOC_ARENA_MAX"}
)  # fmt: skip
PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "MKL_", "KMP_", "GOMP_", "OPENBLAS_", "TORCH_",
            "PYTORCH_", "ATEN_", "HSA_", "ROCR_", "HIP_")  # fmt: skip
SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the server's environment a worker gets: a list of what is allowed, no secrets."""
    kept = {
        name: value
        for name, value in environment.items()
        if name == "TOKENIZERS_PARALLELISM"
        or ((name in NAMES or name.startswith(PREFIXES)) and not _is_secret(name))
    }
    if "PYTHONPATH" in kept:
        # A worker starts in a directory of its own.
        places = (os.path.abspath(place) for place in kept["PYTHONPATH"].split(os.pathsep) if place)
        kept["PYTHONPATH"] = os.pathsep.join(places)
    if kept.get("TRUEUP_HOME"):  # where the agreed code lies
        kept["TRUEUP_HOME"] = os.path.abspath(os.path.expanduser(kept["TRUEUP_HOME"]))
    return {
        # Threads that spin for work starve the workers beside them: measured 20 times slower
        # answers on processors that were busy already.
        "OMP_WAIT_POLICY": "PASSIVE",
        **kept,
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
        # Asks the driver's library for GPUs instead of CUDA, which no fork survives.
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    }


def _is_secret(name: str) -> bool:
    return any(word in name.upper() for word in SECRETS)
