"""What goes into an environment for one release of transformers: data, and the list made of it.

The bounds are those with which a release was seen to resolve from wheels and to run; what a
release itself asks for is left to the resolver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.version import Version

from trueup.adapt.isolate.own_packages import KnownPackage

# The first release of transformers whose needs have wheels for a Python: tokenizers 0.13 has none
# for 3.12, 0.19 none for 3.13, 0.20 none for 3.14, and numpy 1 none from 3.13 on.
FIRST_RELEASE: Mapping[str, Version] = {
    "3.11": Version("4.27.0"),
    "3.12": Version("4.34.0"),
    "3.13": Version("4.45.0"),
    "3.14": Version("4.47.0"),
}
NUMPY_2_SINCE = Version("4.45.0")
HUB_1_SINCE = Version("5.0.0")
# Before, its reader of SentencePiece models is generated code that newer ones refuse.
PROTOBUF_4_SINCE = Version("4.31.0")
# What a worker imports beside torch, transformers and their needs.
WORKER = ("jinja2", "orjson", "packaging", "safetensors", "sentencepiece", "tiktoken", "uvicorn")
# Wheels of torch for other Pythons than the running one.
OLDEST_TORCH = "2.6"  # before, a pickle of only tensors could run code (CVE-2025-32434)

# Estimates, used before there is a lock: what an environment of 4.30 and one of 5.x took, rounded
# up, of which half are compiled files of Python.
BASE_DOWNLOAD_BYTES, BASE_DISK_BYTES = 45_000_000, 190_000_000
TORCH_CPU_DOWNLOAD_BYTES, TORCH_CPU_DISK_BYTES = 200_000_000, 800_000_000
TORCH_GPU_DOWNLOAD_BYTES, TORCH_GPU_DISK_BYTES = 3_000_000_000, 7_000_000_000
MEGABYTE = 10**6
PACKED = 3  # a wheel is about a third of what it becomes


def has_wheels(release: Version, minor: str) -> bool:
    """Whether what a release of transformers needs can be had for a Python without compiling."""
    first = FIRST_RELEASE.get(minor)
    return first is not None and release >= first


def requirements(release: Version, own: Iterable[KnownPackage]) -> tuple[str, ...]:
    """The lines that are resolved, in order; torch is not among them."""
    lines = {
        "transformers": f"transformers=={release}",
        "numpy": "numpy<2" if release < NUMPY_2_SINCE else "numpy",
        "huggingface-hub": "huggingface-hub<1" if release < HUB_1_SINCE else "huggingface-hub",
        "protobuf": "protobuf<3.21" if release < PROTOBUF_4_SINCE else "protobuf",
    }
    lines |= {name: name for name in WORKER}
    for package in own:
        lines.setdefault(package.name, package.requirement)
    return tuple(sorted(lines.values()))
