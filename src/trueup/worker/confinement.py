"""What a worker may not do, asked of the kernel: gain rights, write elsewhere, use the network.

Best effort: what a system lacks is left out, and what holds is reported. It binds the calling
thread and those that it starts, so it runs before any other thread exists.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_VERSION_FLAG = 1
LANDLOCK_RULE_PATH_BENEATH = 1
WRITE_FILE, REFER, TRUNCATE = 1 << 1, 1 << 13, 1 << 14
REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11

# seccomp: (AUDIT_ARCH, number of `socket`) by machine; `io_uring_setup` is 425 on all.
MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
IO_URING_SETUP = 425
X32_SYSCALLS = 0x40000000
SECCOMP_ALLOW = 0x7FFF0000
SECCOMP_ERRNO = 0x00050000
AF_UNIX = 1

_libc = ctypes.CDLL(None, use_errno=True)


def confine(*directories: Path) -> tuple[str, ...]:
    """Restrict this process to writing below `directories`; returns what the system granted."""
    measures: dict[str, Callable[[], None]] = {
        "no_new_privs": lambda: _prctl(PR_SET_NO_NEW_PRIVS, 1),
        "landlock": lambda: _restrict_writes(directories),
        "no_network": _forbid_network,
    }
    held = []
    for name, measure in measures.items():
        try:
            measure()
        except (OSError, KeyError):
            continue
        held.append(name)
    return tuple(held)


def die_with_parent(signal_number: int) -> None:
    """Get `signal_number` when the thread that started this process ends."""
    _prctl(PR_SET_PDEATHSIG, signal_number)


def set_process_name(name: str) -> None:
    """The name in `ps -o comm`; 15 bytes of it are kept."""
    _prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]))


def _prctl(option: int, value: int | ctypes.c_char_p, pointer: object = None) -> None:
    number = ctypes.c_ulong(value) if isinstance(value, int) else value
    _check(_libc.prctl(option, number, pointer or ctypes.c_ulong(0), *[ctypes.c_ulong(0)] * 2))


def _syscall(number: int, *arguments: object) -> int:
    return _check(_libc.syscall(ctypes.c_long(number), *arguments))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _restrict_writes(directories: tuple[Path, ...]) -> None:
    """Landlock: reading stays free, device files may be written, all else only below."""
    version = _syscall(
        LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(LANDLOCK_VERSION_FLAG)
    )
    handled = WRITE_FILE | REMOVE_AND_MAKE
    handled |= REFER if version >= 2 else 0
    handled |= TRUNCATE if version >= 3 else 0
    attributes = struct.pack("<Q", handled)
    if version >= 6:
        attributes += struct.pack("<QQ", 0, SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS)
    ruleset = _syscall(
        LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0)
    )
    try:
        # GPUs are files in /dev that are written to.
        granted = [(directory, handled) for directory in directories]
        for path, rights in (*granted, (Path("/dev"), WRITE_FILE)):
            beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                _syscall(
                    LANDLOCK_ADD_RULE,
                    ctypes.c_int(ruleset),
                    ctypes.c_int(LANDLOCK_RULE_PATH_BENEATH),
                    struct.pack("<Qi", rights, beneath),
                    ctypes.c_uint(0),
                )
            finally:
                os.close(beneath)
        _syscall(LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filters", ctypes.c_char_p))


def _forbid_network() -> None:
    """Seccomp: no sockets but Unix ones, by no way into the kernel.

    io_uring opens sockets past the filter, so it is refused as a whole.
    """
    architecture, socket_call = MACHINES[platform.machine()]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    program = (
        (load, 0, 0, 4),  # architecture
        (equal, 0, 6, architecture),
        (load, 0, 0, 0),  # system call
        (at_least, 4, 0, X32_SYSCALLS),
        (equal, 3, 0, IO_URING_SETUP),
        (equal, 0, 3, socket_call),
        (load, 0, 0, 16),  # first argument: the family
        (equal, 1, 0, AF_UNIX),
        (give, 0, 0, SECCOMP_ERRNO | errno.EACCES),
        (give, 0, 0, SECCOMP_ALLOW),
    )
    filters = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    packed = _FilterProgram(len(program), filters)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(packed))
