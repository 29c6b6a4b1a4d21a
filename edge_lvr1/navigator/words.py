"""Which words of a question tell what it is about, and whether a caption mentions them. Pure.

A light measure for choosing among captions that an index found: endings are cut off, and
the kinds of subject that footage is asked about most are known by several names. It does
not rank; indexes do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

_COMMON = (
    "a about again an and answer any anyone anybody are at be been before being between but by "
    "camera can caption clip come comes coming came could describe did do does doing done during "
    "ever find first for footage from get gets go goes going gone got had happen happened "
    "happening happens has have he her here him his how i if in into is it its last look many me "
    "much my no not number of often on once or other our out over part person's please recorded "
    "recording scene second see seen she should show showed shown shows so some something "
    "somewhere tell than that the their them then there these they thing things this those time "
    "times to under up us video was we were what when where whether which while who whom whose "
    "why will with would you your visible appear appears appeared"
)
_SAID_OFTEN = frozenset(_COMMON.split())
_GROUPS = (
    "person people man men woman women human someone somebody figure pedestrian visitor guy lady",
    "vehicle car automobile van truck lorry bus taxi",
    "bike bicycle cyclist",
    "dog puppy",
    "cat kitten",
    "grey gray",
)
_WORD = re.compile(r"[^\W\d_]+|\d+")


def _stem(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    for ending in ("ing", "ed", "es", "s"):
        base = word[: -len(ending)]
        if word.endswith(ending) and len(base) >= 3 and not word.endswith("ss"):
            doubled = base[-1] == base[-2] and base[-1] not in "lsz"
            return (base[:-1] if doubled else base).removesuffix("e")
    return word.removesuffix("e") if len(word) > 3 else word


def _near() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for line in _GROUPS:
        group = frozenset(map(_stem, line.split()))
        found.update((word, group) for word in group)
    return found


_NEAR = _near()


def telling(text: str) -> list[str]:
    """The different words of a question that say what it is about, in order, as written.

    Of words for one thing ("man ... person") the first stands for all.
    """
    kept: dict[frozenset[str], str] = {}
    for match in _WORD.finditer(text.lower()):
        word = match[0]
        if word not in _SAID_OFTEN and (len(word) > 1 or word.isdigit()):
            kept.setdefault(_group(word), word)
    return list(kept.values())


def mentioned(words: Iterable[str], text: str) -> list[str]:
    """Those of the words that a text mentions, themselves or by another name."""
    stems = _stems(text)
    return [word for word in words if _group(word) & stems]


def widened(words: Sequence[str]) -> str:
    """Words for a search: those, and the other names of what they name."""
    more = (
        name for word in words for line in _GROUPS for name in line.split() if _same(word, line)
    )
    return " ".join(dict.fromkeys([*words, *more]))


def tidied(text: str) -> str:
    """A text out of which phrases were taken, without the gaps that they left."""
    text = re.sub(r"\s+([?.!,;])", r"\1", " ".join(text.split()))
    text = re.sub(r"\s+(?:on|in|at|of|from|during|and|or)(?=\s*[?.!]?$)", "", text)
    text = re.sub(r"^[^\w\"'(]+|,(?=[?.!])", "", text)
    return text[:1].upper() + text[1:]


def _same(word: str, line: str) -> bool:
    return _stem(word) in map(_stem, line.split())


def _group(word: str) -> frozenset[str]:
    stem = _stem(word)
    return _NEAR.get(stem, frozenset({stem}))


@lru_cache(maxsize=4096)  # a caption is asked about in every round
def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(match[0]) for match in _WORD.finditer(text.lower()))
