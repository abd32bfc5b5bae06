"""Builds the indexes of library symbols that ship with the package, from the libraries' wheels.

    python -m scripts.build_symbols transformers --wheels FOLDER --download
    python -m scripts.build_symbols transformers --wheels FOLDER --check

Wheels are read, never installed or imported. `--check` says whether the shipped file has what the
wheels in the folder have, for those versions whose wheels are there. A version is added by a line
in `scripts/versions/LIBRARY.txt`.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from packaging.version import Version

from scripts.libraries import LIBRARIES, Library
from trueup.environment.symbols import shipped
from trueup.environment.symbols.codec import decode_module, encode_module
from trueup.environment.symbols.collect import complete
from trueup.environment.symbols.facts import Export, ModuleFacts, opaque
from trueup.environment.symbols.index_file import SymbolIndex, build
from trueup.environment.symbols.lazy import is_collected
from trueup.environment.symbols.source import read_module

HERE = Path(__file__).parent
# The modules that decide what is parsed out of a file.
PARSER = (
    "body", "codec", "definition", "expression", "facts", "function_codec", "lazy", "source",
)  # fmt: skip
Entries = dict[str, bytes]
LARGEST_BYTES = 1_500_000


class Wheel:
    """The Python files of one library in a wheel."""

    def __init__(self, path: Path, library: str) -> None:
        self._archive = zipfile.ZipFile(path)
        self.files: dict[str, zipfile.ZipInfo] = {}
        for ending in (".pyi", ".py"):  # a stub tells what a compiled module has
            for info in self._archive.infolist():
                name = _module_name(info.filename, ending)
                if name and name.partition(".")[0] == library:
                    self.files[name] = info

    def source(self, name: str) -> bytes | None:
        """The source of a module by its full name."""
        return self._archive.read(self.files[name]) if name in self.files else None

    def below(self, package: str) -> Iterator[tuple[str, bytes]]:
        """Full name and source of the modules below a package that are collected, sorted."""
        for name, info in sorted(self.files.items()):
            file_name = info.filename.rpartition("/")[2]
            if name.startswith(f"{package}.") and is_collected(file_name):
                yield name, self._archive.read(info)

    def is_package(self, name: str) -> bool:
        """Whether the module is a folder's `__init__`."""
        return self.files[name].filename.rpartition("/")[2].startswith("__init__.")

    def checksum(self, name: str) -> str:
        """What tells one content of a file from another."""
        info = self.files[name]
        return f"{info.filename} {info.CRC:08x} {info.file_size}"


def _module_name(file_name: str, ending: str) -> str | None:
    stem = file_name.removesuffix(ending)
    if stem == file_name or not all(part.isidentifier() for part in stem.split("/")):
        return None
    return stem.replace("/", ".").removesuffix(".__init__")


class Reader:
    """Reads wheels one after the other; a file that did not change is parsed once.

    What was parsed is kept beside the wheels, by the sources of the parser.
    """

    def __init__(self, library: Library, folder: Path) -> None:
        self._library = library
        self._parsed: dict[str, dict[str, Any] | None] = {}
        self._trimmed: dict[str, Entries | None] = {}
        self._equal: dict[bytes, bytes] = {}  # many versions of a file have much in common
        self._kept = folder / f"parsed-{library.name}-{_fingerprint()}"
        self._kept.mkdir(parents=True, exist_ok=True)

    def read(self, path: Path) -> dict[str, Entries]:
        """Each module of the wheel with its entries, payloads as JSON."""
        wheel = Wheel(path, self._library.name)
        looked_into = [name for name in wheel.files if self._library.depth(name) != "presence"]
        self._parse(wheel, looked_into, self._kept / f"{path.stem}.json")
        found = {name: entries for name in looked_into if (entries := self._entries(wheel, name))}
        lazy = {
            name: _decoded(name, entries)
            for name, entries in found.items()
            if b"l" in entries[""].partition(b",")[0]
        }
        for name, facts in lazy.items():
            if name not in self._library.not_completed:
                lazy[name] = complete(facts, self._library.name, wheel)
        root = lazy.get(self._library.name)
        if root is not None:
            exports = {name: _final(one, lazy) for name, one in root.exports.items()}
            lazy[root.name] = replace(root, exports=exports)
        present = {
            name: _encoded(opaque(name, is_package=wheel.is_package(name))) for name in wheel.files
        }
        return present | found | {name: _encoded(facts) for name, facts in lazy.items()}

    def _entries(self, wheel: Wheel, name: str) -> Entries | None:
        """The entries of one file, trimmed to what is indexed."""
        key = wheel.checksum(name)
        if key not in self._trimmed:
            entries = self._parsed.pop(key)
            if entries is not None:
                facts = self._library.trimmed(decode_module(name, entries))
                entries = _encoded(facts)
                for part, text in entries.items():
                    entries[part] = self._equal.setdefault(text, text)
            self._trimmed[key] = entries
        return self._trimmed[key]

    def _parse(self, wheel: Wheel, names: Iterable[str], kept: Path) -> None:
        """Parse the files that no earlier wheel had, or take over what was parsed before."""
        if kept.is_file():
            self._parsed.update(orjson.loads(kept.read_bytes()))
        new: dict[str, Any] = {}
        for name in names:
            key = wheel.checksum(name)
            if key not in self._parsed and key not in self._trimmed:
                source = wheel.source(name) or b""
                facts = read_module(
                    source,
                    name,
                    is_package=wheel.is_package(name),
                    with_bodies=self._library.depth(name) == "bodies",
                )
                new[key] = facts and encode_module(facts)
        self._parsed.update(new)
        if new:
            kept.write_bytes(orjson.dumps(new))


def _fingerprint() -> str:
    folder = Path(shipped.__file__).parent
    sources = b"".join((folder / f"{name}.py").read_bytes() for name in PARSER)
    return hashlib.sha256(sources).hexdigest()[:12]


def _dumped(entries: dict[str, Any]) -> Entries:
    return {key: orjson.dumps(payload) for key, payload in entries.items()}


def _encoded(facts: ModuleFacts) -> Entries:
    return _dumped(encode_module(facts))


def _decoded(name: str, entries: Entries) -> ModuleFacts:
    return decode_module(name, {key: orjson.loads(text) for key, text in entries.items()})


def _final(export: Export, modules: dict[str, ModuleFacts]) -> Export:
    """The export with the module that defines it, so that it is the same in every layout."""
    for _ in range(4):
        module, _, name = (export.target or "").rpartition(".")
        further = modules[module].exports.get(name) if module in modules else None
        if further is None or further.target is None:
            break
        export = replace(export, target=further.target)
    return export


def read_versions(library: Library) -> dict[str, list[str]]:
    """The versions to index, oldest first, with the options that pip needs for each."""
    lines = (HERE / "versions" / f"{library.name}.txt").read_text(encoding="utf-8").splitlines()
    rows = [words for line in lines if (words := line.partition("#")[0].split())]
    return {version: options for version, *options in sorted(rows, key=lambda row: Version(row[0]))}


def find_wheel(folder: Path, library: Library, version: str) -> Path | None:
    """The wheel of a version in the folder."""
    return min(folder.glob(f"{library.name}-{version}-*.whl"), default=None)


def download(folder: Path, library: Library, versions: dict[str, list[str]]) -> None:
    """Fetch the wheels that are not there, with pip."""
    for version, options in versions.items():
        if find_wheel(folder, library, version) is None:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += [
                "--only-binary=:all:",
                "--dest",
                str(folder),
                *library.pip_options,
                *options,
            ]
            subprocess.run([*command, f"{library.name}=={version}"], check=True)


def make(folder: Path, library: Library, versions: Sequence[str]) -> bytes:
    """The index of the versions, all of whose wheels must be in the folder."""
    reader = Reader(library, folder)
    facts = []
    for version in versions:
        started = time.monotonic()
        path = find_wheel(folder, library, version)
        if path is None:
            raise SystemExit(f"no wheel of {library.name} {version} in `{folder}`: use --download")
        facts.append(reader.read(path))
        print(f"{version}: {time.monotonic() - started:.1f} s", file=sys.stderr)
    return build(library.name, versions, facts)


def check(folder: Path, library: Library) -> list[str]:
    """What the shipped index has otherwise than the wheels in the folder."""
    index = SymbolIndex(shipped.path(library.name))
    reader, wrong = Reader(library, folder), []
    if [str(version) for version in index.versions] != list(read_versions(library)):
        wrong.append("the versions are not those of the list")
    for place, version in enumerate(index.versions):
        path = find_wheel(folder, library, str(version))
        if path is None:
            continue
        expected = reader.read(path)
        for name in sorted({*expected, *index.names()}):
            entries = index.entries(name, place)
            if (entries and _dumped(entries)) != expected.get(name):
                wrong.append(f"{version}: {name}")
    return wrong


def main() -> int:
    """Build, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=sorted(LIBRARIES))
    parser.add_argument("--wheels", type=Path, required=True, help="the folder of wheels")
    parser.add_argument("--download", action="store_true", help="fetch missing wheels with pip")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--output", type=Path, help="another file than the shipped one")
    options = parser.parse_args()
    library = LIBRARIES[options.library]
    versions = read_versions(library)
    if options.download:
        download(options.wheels, library, versions)
    if options.check:
        wrong = check(options.wheels, library)
        print(*wrong, sep="\n")
        return int(bool(wrong))
    data = make(options.wheels, library, list(versions))
    path = options.output or shipped.path(library.name)
    path.write_bytes(data)
    print(f"{path}: {len(versions)} versions, {len(data):,} bytes", file=sys.stderr)
    print(hashlib.sha256(data).hexdigest())
    return int(len(data) > LARGEST_BYTES)


if __name__ == "__main__":
    raise SystemExit(main())
