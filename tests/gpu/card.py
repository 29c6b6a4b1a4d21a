"""What the GPU says of itself, over all processes: nvidia-smi, and no library of ours."""

from __future__ import annotations

import subprocess


def asked(field: str) -> str:
    """One field of the first GPU, without its unit."""
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]


def used_mb() -> int:
    """Memory in use on the first GPU, in MiB."""
    return int(asked("memory.used"))
