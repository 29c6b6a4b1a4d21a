"""Files of questions as rows: a JSON array, JSON lines, or parquet; and typed fields of a row.

A row knows where it stands, so that whoever reads a field of it can say what is wrong where.
What the fields mean is the formats' affair.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_lvr1.errors import DatasetError, NotFoundError

_PARQUET = b"PAR1"  # how such a file begins, whatever its name


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a file, and where it stands there ("row 3")."""

    file: str
    name: str
    fields: Mapping[str, Any]

    @property
    def place(self) -> str:
        """File and row, as an error begins."""
        return f"{self.file}, {self.name}"

    def has(self, *names: str) -> bool:
        """Whether the row has all of these fields, with something in them."""
        return all(self.fields.get(name) is not None for name in names)

    def first(self, *names: str) -> str:
        """Which of these fields the row has; the first of them where it has none."""
        return next((name for name in names if self.has(name)), names[0])

    def text(self, *names: str) -> str:
        """A field that is text, under the first of these names that is there."""
        name = self.first(*names)
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.wrong(name, "text", value)
        found = str(value).strip()
        if not found:
            raise DatasetError(f"{self.place}: the field {name!r} is empty")
        return found

    def optional_text(self, *names: str) -> str:
        """The same, or "" where none is there."""
        return self.text(*names) if self.has(self.first(*names)) else ""

    def seconds(self, name: str) -> float | None:
        """A field that is a length in seconds; None where it is not there."""
        if not self.has(name):
            return None
        return self.number(name, self.fields[name])

    def number(self, name: str, value: object) -> float:
        """A finite number, as `name` holds it; one that is written as text too."""
        try:
            found = float(value) if not isinstance(value, bool) else math.nan  # type: ignore[arg-type]
        except (TypeError, ValueError):
            found = math.nan
        if not math.isfinite(found):
            raise self.wrong(name, "a number", value)
        return found

    def texts(self, *names: str) -> tuple[str, ...]:
        """A field that is a list of texts."""
        name = self.first(*names)
        values = self.values(name)
        if not all(isinstance(value, str | int | float) for value in values):
            raise self.wrong(name, "a list of texts", values)
        return tuple(str(value).strip() for value in values)

    def values(self, name: str) -> Sequence[Any]:
        """A field that is a list; parquet brings arrays, which count as such."""
        value = self._value(name)
        if hasattr(value, "tolist"):
            value = value.tolist()
        if not isinstance(value, list | tuple):
            raise self.wrong(name, "a list", value)
        return value

    def inner(self, name: str, noun: str) -> Iterator[Row]:
        """The rows that a field lists."""
        for number, value in enumerate(self.values(name), start=1):
            inside = f"{self.name}, {noun} {number}"
            if not isinstance(value, Mapping):
                raise self.wrong(name, "a list of objects", value)
            yield Row(self.file, inside, value)

    def wrong(self, name: str, wanted: str, value: object) -> DatasetError:
        """The error of a field that is there and is not what it should be."""
        return DatasetError(
            f"{self.place}: the field {name!r} should be {wanted}, not {_short(value)}"
        )

    def _value(self, name: str) -> Any:  # noqa: ANN401 (whatever the file holds)
        if not self.has(name):
            held = ", ".join(map(str, list(self.fields)[:12])) or "nothing"
            raise DatasetError(f"{self.place}: the field {name!r} is missing; there is {held}")
        return self.fields[name]


def rows(path: Path) -> Iterator[Row]:
    """The objects of a file, in order. Raises DatasetError, NotFoundError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}; check --questions") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
    if content.startswith(_PARQUET):
        return _numbered(path, _parquet(path), "row")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is neither JSON nor parquet: {error}") from error
    if text.lstrip().startswith("["):
        return _numbered(path, _array(path, text), "row")
    return _numbered(path, _lines(path, text), "line")


def _numbered(path: Path, found: Iterator[tuple[int, Any]], noun: str) -> Iterator[Row]:
    for number, value in found:
        if not isinstance(value, Mapping):
            raise DatasetError(f"{path.name}, {noun} {number} is not an object: {_short(value)}")
        yield Row(path.name, f"{noun} {number}", value)


def _array(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    try:
        yield from enumerate(json.loads(text), start=1)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path.name} is not JSON: {error}") from error


def _lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    # Not splitlines(): JSON strings may hold other line separators, such as U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(
                f"{path.name}, line {number} is not JSON: {error}; the file should be a JSON "
                "array, or one object a line"
            ) from error


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DatasetError(
            f"{path.name} is a parquet file, which needs the package pyarrow: "
            "install edge-lvr1 with its extra 'eval', or convert the file to JSON"
        ) from error
    try:
        found = parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise DatasetError(
            f"{path.name} is not a parquet file that can be read: {error}"
        ) from error
    yield from enumerate(found, start=1)


def _short(value: object) -> str:
    told = repr(value)
    return told if len(told) <= 60 else told[:59] + "…"
