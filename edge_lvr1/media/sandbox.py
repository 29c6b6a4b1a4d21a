"""What a decoding child gives up before it touches a file: memory, priority, network.

Linux only. What the kernel does not permit is named, not passed over in silence.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OPEN_FILES = 64
NICE = 5
OOM_ADJ, OOM_SCORE = 500, Path("/proc/self/oom_score_adj")
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h
CAPABILITY_VERSION = 0x20080522  # linux/capability.h
FILE_CAPABILITIES = 1 << 1 | 1 << 2  # DAC_OVERRIDE, DAC_READ_SEARCH: what root reads files by
INTERFACES = Path("/proc/self/net/dev")
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use: megabytes of memory, and of a file that it writes.

    Links in `roots` may not lead out of these folders (`media/opening.py`).
    """

    memory_mb: int
    output_mb: int
    roots: Sequence[str] = ()


def confine(limits: Limits, parent: int) -> list[str]:
    """Limit this process for good; it ends with its parent. Returns what could not be done.

    To be called before the process has a second thread.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    missing = []
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        missing.append("end with the daemon (prctl)")
    if os.getppid() != parent:  # it died before that took hold
        raise SystemExit(1)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        missing.append("give up new privileges (prctl)")
    # Without a user namespace where we may: in one, root could not read others' files.
    kept = FILE_CAPABILITIES
    if libc.unshare(CLONE_NEWNET):
        kept = 0
        alone = not libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)
    else:
        alone = True
    if not alone and _sees_network():
        missing.append(f"leave the network (unshare: {os.strerror(ctypes.get_errno())})")
    if _drop_capabilities(libc, kept):
        missing.append("give up capabilities (capset)")
    _limit(limits)
    os.nice(NICE)
    if not _first_to_go():
        missing.append("be ended before the daemon where memory runs out (oom_score_adj)")
    return missing


def _drop_capabilities(libc: ctypes.CDLL, kept: int) -> int:
    """Keep only those of a set of capabilities that there are; not nought where that fails."""
    head = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; the same of the upper 32
    if libc.capget(head, sets):
        return 1
    if not any(sets):  # nothing to give up; under our systemd unit it may not even ask
        return 0
    permitted = sets[1] & kept
    sets[:] = [permitted, permitted, 0, 0, 0, 0]
    return int(libc.capset(head, sets))


def _first_to_go() -> bool:
    """Where memory runs out the kernel is to end this process, and not the daemon."""
    try:
        OOM_SCORE.write_text(f"{OOM_ADJ}\n", "ascii")
    except OSError:
        return False
    return True


def _limit(limits: Limits) -> None:
    memory = limits.memory_mb * 2**20
    held = _mapped_bytes()
    # RLIMIT_DATA counts what can be written to, which is memory; address space, which
    # libraries and stacks reserve by the hundred megabytes, is held in more loosely.
    _lower(resource.RLIMIT_DATA, memory)
    _lower(resource.RLIMIT_AS, held + 2 * memory)
    _lower(resource.RLIMIT_FSIZE, limits.output_mb * 2**20)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)


def _lower(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _mapped_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    return pages * resource.getpagesize()


def _sees_network() -> bool:
    """Whether this process has an interface that leads anywhere. Needs no socket."""
    try:
        lines = INTERFACES.read_text("ascii", "replace").splitlines()[2:]  # below two of headings
    except OSError:
        return False
    return any(line.partition(":")[0].strip() != "lo" for line in lines)
