"""Ask questions of recorded footage (the method of LongVideo-R1, arXiv 2602.20913)."""

from pathlib import Path

# In a checkout daemon/, export/ and systemd/ stand beside this folder; installed, they
# are inside it. Either way they are edge_lvr1.daemon, .export and .systemd.
_root = Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))
