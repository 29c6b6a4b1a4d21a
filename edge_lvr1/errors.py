"""The error tree. An error says what failed and what to do next.

EdgeLvr1Error
+-- SettingsError        a setting is unknown or has a value that cannot be used
+-- MediaError           a file is not footage that can be read
|   +-- NoVideoError     it opens, but holds no picture (audio only, cover art only)
+-- StoreError           the database cannot be opened or used, or is newer than this program
|   +-- StoreFull        the disk has no room for what was to be stored
|   +-- StoreDamaged     the file is no database, or its content is damaged
+-- NotFoundError        a recording, node, question or file that is not there
+-- QuestionError        a question that cannot be asked (empty, too long, bad options)
|   +-- BusyError        too many questions wait; it says when to come back
|   +-- KeyReusedError   an idempotency key came before with another question
+-- AccessError          somebody may not do what they asked for
+-- DatasetError         a file of questions, captions or results is not of its format
+-- ModelError           a captioner or an agent could not do its work
|   +-- ServerAway       a model server is not there, or not yet able to answer
|   +-- BundleError      a bundle cannot be written, or is damaged, foreign or of another role
+-- Cancelled            nobody wants the work in hand any more
+-- DaemonError          the daemon cannot start or go on
    +-- AlreadyRunning   another daemon holds the socket or the data folder
    +-- Unreachable      a client found no daemon at the socket
"""

from __future__ import annotations


class EdgeLvr1Error(Exception):
    """The root of every error this package raises on purpose."""


class SettingsError(EdgeLvr1Error):
    """A setting is unknown or has a value that cannot be used."""


class MediaError(EdgeLvr1Error):
    """A file is not footage that can be read."""


class NoVideoError(MediaError):
    """A media file that opens but holds no moving picture."""


class StoreError(EdgeLvr1Error):
    """The database cannot be opened or used, or was written by a newer program."""


class StoreFull(StoreError):  # noqa: N818 (reads as what it says)
    """The disk has no room for what was to be stored; nothing of it was."""


class StoreDamaged(StoreError):  # noqa: N818 (reads as what it says)
    """The file is no database, or its content is damaged."""


class NotFoundError(EdgeLvr1Error):
    """A recording, node, question or file that is not there."""


class QuestionError(EdgeLvr1Error):
    """A question that cannot be asked."""


class BusyError(QuestionError):
    """Too many questions wait; in `retry_after_s` there may be room."""

    def __init__(self, why: str, retry_after_s: float) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class KeyReusedError(QuestionError):
    """An idempotency key came before with another question."""


class AccessError(EdgeLvr1Error):
    """Somebody may not do what they asked for."""


class DatasetError(EdgeLvr1Error):
    """A file of questions, captions or results is not of the format it is read as."""


class ModelError(EdgeLvr1Error):
    """A captioner or an agent could not do its work."""


class ServerAway(ModelError):  # noqa: N818 (reads as what it says)
    """A model server cannot be reached or breaks off: it may be back later, as it is now.

    A server that refuses what it was sent is there, and raises plain ModelError. `reached`:
    it took the request and did not come to its end, so that the request may be to blame.
    """

    def __init__(self, why: str, *, reached: bool = False) -> None:
        super().__init__(why)
        self.reached = reached


class BundleError(ModelError):
    """A bundle cannot be written, or is damaged, foreign or of another role."""


class Cancelled(EdgeLvr1Error):  # noqa: N818 (reads as what it says)
    """Nobody wants the work in hand any more: what raises it has put it down."""


class DaemonError(EdgeLvr1Error):
    """The daemon cannot start or go on."""


class AlreadyRunning(DaemonError):  # noqa: N818 (reads as what it says)
    """Another daemon holds the socket or the data folder."""


class Unreachable(DaemonError):  # noqa: N818 (reads as what it says)
    """A client found no daemon at the socket."""
