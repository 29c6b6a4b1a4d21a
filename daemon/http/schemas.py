"""What all JSON of the socket has in common.

Times are ISO 8601 with offset, media times are seconds, and no number is ever NaN or
infinite. Strings are valid Unicode whatever a file was called.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    PlainSerializer,
)


def shown_safely(text: str) -> str:
    """Text that is valid Unicode: what is not (a file name's stray bytes) becomes escapes."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


Shown = Annotated[str, PlainSerializer(shown_safely)]


class In(BaseModel):
    """What a client sends; a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Out(BaseModel):
    """What the daemon answers."""

    model_config = ConfigDict(allow_inf_nan=False)
