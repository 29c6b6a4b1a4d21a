"""Which paths below a watched folder may be footage, by their names and where links lead.

It looks at nothing but names and links; whether a file is whole is `settling`'s business.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

# Names that writers give to what they have not finished (browsers, rsync, scp clients, cameras).
UNFINISHED = frozenset(
    {".part", ".tmp", ".temp", ".filepart", ".crdownload", ".download", ".partial", ".swp"}
)


def root_of(path: Path | str, roots: Iterable[Path]) -> Path | None:
    """The folder of several that a path lies in, the innermost; None outside all."""
    text = str(path)
    holders = [root for root in roots if text.startswith(below(root))]
    return max(holders, key=lambda root: len(root.parts), default=None)


def below(folder: Path | str) -> str:
    """What the paths of everything in a folder begin with."""
    return os.path.join(folder, "")  # noqa: PTH118 (pathlib drops the slash at the end)


def wanted(path: Path, root: Path) -> bool:
    """Whether a path under a root may be footage, by its name and by where a link leads."""
    if passed_over(path, root):
        return False
    top = root.resolve()
    try:
        return path.resolve(strict=True).is_relative_to(top)
    except FileNotFoundError:
        # Gone meanwhile: whoever looks will see. A link that leads nowhere stays out.
        return not path.is_symlink() and path.parent.resolve().is_relative_to(top)
    except (OSError, RuntimeError):  # a loop of links: RuntimeError before Python 3.13
        return False


def passed_over(path: Path, root: Path) -> bool:
    """Whether the name of a path under a root says that it is hidden or unfinished."""
    inside = path.relative_to(root).parts
    return any(map(hidden, inside)) or unfinished(path.name)


def unfinished(name: str) -> bool:
    """Whether a file's name is one that writers give to what they have not finished."""
    return os.path.splitext(name)[1].lower() in UNFINISHED  # noqa: PTH122 (of all files there are)


def hidden(name: str) -> bool:
    """Whether a name is one that programs keep for themselves."""
    return name.startswith((".", "~")) or name.endswith("~")
