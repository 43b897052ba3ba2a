"""Locks this process up before it runs other people's code: limits, files it may touch, system calls it may make.

rlimits, Landlock (files, TCP, signals) and a seccomp filter (no sockets, no new programs, no processes, no tracing), all by ctypes
and never undone. What the kernel lacks is reported, not hidden: callers put `enter`'s answer where operators see it.
Linux only. Who starts such a process is in `jobs.local` and `engines.nursery`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from functools import cache

SLACK = 256 << 20  # address space for thread stacks and late libraries, beside what a job may use
MOST_BYTES = 2 << 30  # of one file; `warden` looks at what all of them hold
READ_ALL = (
    1 << 2
)  # the one capability that root keeps: data and code may belong to others (CAP_DAC_READ_SEARCH)

# Landlock: see linux/landlock.h
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1, 2, 4, 8, 1 << 14
MAKE_CHAR, MAKE_BLOCK, MAKE_SOCK, MAKE_FIFO, MAKE_SYM = 1 << 6, 1 << 11, 1 << 9, 1 << 10, 1 << 12
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CAPSET = 126 if platform.machine() == "x86_64" else 91

# Denied system calls, numbers of x86_64
DENIED = {
    "socket": 41, "connect": 42, "bind": 49, "socketpair": 53, "fork": 57, "vfork": 58, "execve": 59, "kill": 62,
    "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94, "ptrace": 101, "syslog": 103, "setuid": 105,
    "setgid": 106, "mknod": 133, "personality": 135, "pivot_root": 155, "chroot": 161, "acct": 163,
    "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169, "init_module": 175,
    "quotactl": 179, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "tkill": 200,
    "clock_settime": 227, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "mknodat": 259,
    "fchownat": 260, "setpgid": 109, "setsid": 112, "fchmodat": 268, "unshare": 272, "utimensat": 280, "perf_event_open": 298,
    "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313,
    "bpf": 321, "execveat": 322, "userfaultfd": 323, "pidfd_send_signal": 424, "io_uring_setup": 425,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "pidfd_open": 434, "pidfd_getfd": 438, "fchmodat2": 452,
}  # fmt: skip
CLONE, CLONE3, CLONE_THREAD = 56, 435, 0x10000
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38


def enter(
    read: Iterable[str],
    write: Iterable[str],
    memory: int,
    seconds: float,
    *,
    system: Iterable[str] | None = None,
    file: int = MOST_BYTES,
) -> dict[str, str]:
    """Lock up the calling process for good; what holds, by mechanism: "on (...)" or "off: why".

    `memory` bytes of address space beyond what is in use now; `seconds` of CPU time for each thread's worth of work.
    Files may be read below `read` and `system` (by default the Python installation and the system's libraries), and changed
    below `write`, where one may hold `file` bytes.
    """
    shared = system_paths() if system is None else tuple(system)
    out = {"limits": _limits(memory, seconds, file)}
    steps = {"landlock": lambda: _landlock((*shared, *read), tuple(write)), "seccomp": _seccomp}
    for name, step in steps.items():
        try:
            out[name] = step()
        except OSError as error:
            out[name] = f"off: {error.strerror or error}"
    return out


def die_with_parent(parent: int, by: int = signal.SIGKILL) -> None:
    """Have the kernel signal this process when the thread that started it ends; exit if that is so already."""
    if sys.platform == "linux":
        _libc().prctl(1, int(by), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Have processes whose parent ended become children of this one, wherever below it they were made."""
    if sys.platform == "linux":
        _libc().prctl(36, 1, 0, 0, 0)


def system_paths() -> tuple[str, ...]:
    """What any Python program reads: the installation, the packages, the libraries, and facts about the machine."""
    fixed = (
        "/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache",
        "/etc/localtime", "/dev/urandom", "/dev/null", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
        "/sys/devices/system", "/sys/fs/cgroup", "/proc/sys/vm/overcommit_memory",
    )  # fmt: skip
    own = {sys.prefix, sys.base_prefix, *(p for p in sys.path if p)}
    return (*sorted(own), *fixed)


def _limits(memory: int, seconds: float, file_bytes: int) -> str:
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    space = used + SLACK + memory
    cpu = int(seconds * (os.cpu_count() or 1)) + 30
    for what, value in (
        (resource.RLIMIT_AS, space),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 1024),
        (resource.RLIMIT_FSIZE, file_bytes),
    ):
        _, hard = resource.getrlimit(what)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (most, most))
    _drop_capabilities()
    return f"on ({(SLACK + memory) >> 20} MB more than {used >> 20} MB, {cpu} s of CPU)"


def _drop_capabilities() -> None:
    """Root could lift its limits again and write what it only may read; what is no root has none to drop."""
    if os.geteuid() == 0:
        header = struct.pack("Ii", 0x20080522, 0)
        low = struct.pack("III", READ_ALL, READ_ALL, 0)
        _call(CAPSET, header, low + bytes(12))


# --- Landlock ----------------------------------------------------------------------------------------------


def _landlock(read: tuple[str, ...], write: tuple[str, ...]) -> str:
    """Allow files below these paths and no TCP; needs Linux 5.13 or newer."""
    level = _libc().syscall(ctypes.c_long(CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if level < 1:
        raise OSError(ctypes.get_errno(), "this kernel has no Landlock")
    handled = (1 << 13) - 1
    handled |= sum(bit for since, bit in ((2, 1 << 13), (3, TRUNCATE), (5, 1 << 15)) if level >= since)
    net, scope = (3 if level >= 4 else 0), (3 if level >= 6 else 0)
    size = 24 if level >= 6 else 16 if level >= 4 else 8
    attributes = struct.pack("QQQ", handled, net, scope)[:size]
    rules = _call(CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint(0))
    try:
        files = EXECUTE | READ_FILE
        for path in read:
            _allow(rules, path, (files | READ_DIR) & handled, files)
        special = MAKE_CHAR | MAKE_BLOCK | MAKE_SOCK | MAKE_FIFO | MAKE_SYM | EXECUTE
        for path in write:
            _allow(rules, path, handled & ~special, handled & (WRITE_FILE | READ_FILE | TRUNCATE))
        _no_new_privileges()
        _call(RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint(0))
    finally:
        os.close(rules)
    return f"on (level {level})"


def _allow(rules: int, path: str, folder: int, file: int) -> None:
    """One path may be used in these ways; a path that is not there needs no rule."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rule = struct.pack("=Qi", folder if os.path.isdir(path) else file, handle)
            _call(ADD_RULE, ctypes.c_int(rules), ctypes.c_int(1), rule, ctypes.c_uint(0))
        finally:
            os.close(handle)


# --- seccomp -----------------------------------------------------------------------------------------------


def _seccomp() -> str:
    """Refuse the denied calls with EPERM; threads may be made, processes may not."""
    if platform.machine() != "x86_64":
        raise OSError(0, f"the filter is written for x86_64, not {platform.machine()}")
    code = b"".join(struct.pack("HBBI", *i) for i in _filter())
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("H6xQ", len(code) // 8, ctypes.addressof(buffer))
    _no_new_privileges()
    if _libc().prctl(22, 2, program, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return f"on ({len(DENIED)} calls denied)"


def _filter() -> list[tuple[int, int, int, int]]:
    """The BPF program: (code, jump if true, jump if false, value)."""
    load, equal, greater, bits, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    program = [
        (load, 0, 0, 4), (equal, 1, 0, 0xC000003E), (answer, 0, 0, KILL),  # x86_64 calls only
        (load, 0, 0, 0), (greater, 0, 1, 0x40000000), (answer, 0, 0, ERRNO | EPERM),  # no x32
        (equal, 0, 1, CLONE3), (answer, 0, 0, ERRNO | ENOSYS),  # libc falls back to clone
        (equal, 0, 4, CLONE), (load, 0, 0, 16), (bits, 1, 0, CLONE_THREAD), (answer, 0, 0, ERRNO | EPERM),
        (load, 0, 0, 0),
    ]  # fmt: skip
    numbers = sorted(set(DENIED.values()))
    program += [(equal, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    return [*program, (answer, 0, 0, ALLOW), (answer, 0, 0, ERRNO | EPERM)]


# --- the C library -----------------------------------------------------------------------------------------


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    done: int = _libc().syscall(ctypes.c_long(number), *arguments)
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


def _no_new_privileges() -> None:
    if _libc().prctl(38, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
