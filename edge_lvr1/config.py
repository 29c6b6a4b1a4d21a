"""Settings: defaults here, then a TOML file, then the environment, then flags.

The environment names a setting as EDGE_LVR1_SECTION__KEY (EDGE_LVR1_INGEST__SETTLE_S=2) or,
at the top, EDGE_LVR1_KEY (EDGE_LVR1_DATA=/srv/edge). Unknown keys fail with the nearest
known one. This module knows nothing of what the settings are for.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edge_lvr1.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENV_PREFIX = "EDGE_LVR1_"
ENV_CONFIG = "EDGE_LVR1_CONFIG"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NamedPattern(_Section):
    """A user's own pattern of file names.

    `regex` has the groups of `media/names.py`: year month day hour minute second, or epoch;
    and, where they occur, fraction, offset, summer, camera.
    """

    name: str
    regex: str
    utc: bool = False


class Ingest(_Section):
    """How files are found and taken in."""

    settle_s: float = Field(
        default=5.0, ge=0, description="a file is taken when unchanged this long"
    )
    rescan_s: float = Field(
        default=30.0,
        gt=0,
        description="folders are scanned again this often, large ones less often",
    )
    max_recording_s: float = Field(default=7200.0, gt=0, description="longer files become several")
    max_attempts: int = Field(default=3, ge=1, description="tries before a file is set aside")
    gap_s: float = Field(default=2.0, ge=0, description="parts no further apart are joined")
    quiet_s: float = Field(
        default=30.0, ge=0, description="a recording of now is closed when nothing came this long"
    )
    time_zones: dict[str, str] = Field(
        default_factory=dict, description="IANA zone of the file-name times in a watched folder"
    )
    name_patterns: tuple[NamedPattern, ...] = Field(
        default=(), description="tried before the built-in ones, in order"
    )
    gate: Literal["on", "off"] = Field(
        default="on", description="on: what stands still is captioned without the captioner"
    )
    gate_mad: float = Field(default=6.0, gt=0, description="threshold: median + so many MAD")
    gate_window_s: float = Field(default=600.0, gt=0, description="what the median is taken over")
    gate_pad_s: float = Field(default=2.0, ge=0, description="added around what is active")
    gate_heartbeat_s: float = Field(
        default=600.0, gt=0, description="what stands still is looked at this often all the same"
    )
    reuse_bits: int = Field(
        default=4, ge=0, le=64, description="leaves whose picture hashes differ less are alike"
    )
    subtitles: bool = Field(default=True, description="sidecar and embedded text into captions")
    read_clock: bool = Field(default=False, description="read burnt-in clocks (the extra ocr)")
    decoder: Literal["child", "here"] = Field(
        default="child", description="decode in child processes, or in the daemon itself"
    )
    decoder_memory_mb: int = Field(default=1024, ge=256, description="most memory of a child")
    decoder_timeout_s: float = Field(
        default=60.0, gt=0, description="a child that gives nothing for so long is ended"
    )
    found_by: dict[str, Literal["auto", "events", "polling"]] = Field(
        default_factory=dict,
        description="how new files of a watched folder are noticed; auto: by its file system",
    )
    poll_s: float = Field(default=10.0, gt=0, description="polled folders are looked at so often")
    roots: tuple[Path, ...] = Field(
        default=(), description="folders besides the watched ones that files may be offered from"
    )
    reserve_mb: int = Field(
        default=512, ge=0, description="ingest pauses where the data folder's disk has less free"
    )


class Tree(_Section):
    """How caption trees are built."""

    parents: Literal["auto", "fold", "frames"] = Field(
        default="auto",
        description="high and medium captions: from their children, or by looking, high ones "
        "first; auto: as the captioner can",
    )
    split: Literal["uniform", "activity"] = Field(
        default="uniform", description="boundaries by time, or by cumulated activity"
    )
    words_low: int = Field(default=200, gt=0, description="most words of a leaf's caption")
    words_medium: int = Field(default=300, gt=0)
    words_high: int = Field(default=300, gt=0)
    # What a vision-language model is shown of a node; the embedded captioner watches all.
    frames_low: int = Field(default=16, gt=0, le=512)
    frames_medium: int = Field(default=32, gt=0, le=512)
    frames_high: int = Field(default=64, gt=0, le=512)
    side_px_low: int = Field(default=512, ge=32, description="longer side of a frame")
    side_px_medium: int = Field(default=362, ge=32)
    side_px_high: int = Field(default=256, ge=32)


Backend = Literal["embedded", "onnx", "server"]
Tool = Literal["get_caption", "video_qa", "search_captions", "list_recordings", "count_objects"]


class Models(_Section):
    """Which backend plays which role, and what it needs."""

    captioner: Backend = "embedded"
    agent: Backend = "embedded"
    captioner_bundle: Path | None = Field(default=None, description="for the onnx captioner")
    agent_bundle: Path | None = Field(default=None, description="for the onnx agent")
    embedder_bundle: Path | None = Field(
        default=None, description="for search by meaning; none: by words alone"
    )
    provider: str | None = Field(default=None, description="cpu, cuda, ...; None: the bundle's")
    memory_limit_mb: int | None = Field(default=None, gt=0)
    context_tokens: int | None = Field(
        default=None, gt=0, description="longest conversation; its cache is reserved whole"
    )
    threads: int | None = Field(default=None, gt=0, description="CPU threads; None: all CPUs")
    seed: int | None = Field(default=None, ge=0, description="of the agent; None: the bundle's")
    legal_moves: bool = Field(default=True, description="hold the agent to the protocol's grammar")
    allow_failed: bool = Field(default=False, description="run bundles that failed verification")


class ModelServer(_Section):
    """An OpenAI-compatible server, for roles whose backend is "server"."""

    url: str = Field(default="http://127.0.0.1:8000/v1", description="what /chat/... is below")
    captioner_url: str | None = Field(default=None, description="where the captioner is apart")
    agent_model: str = Field(default="", description="its name there; empty: the first it lists")
    captioner_model: str = ""
    agent_tools: tuple[Tool, ...] = Field(
        default=("get_caption", "video_qa"), description="more for models that are no R1"
    )
    api_key_file: Path | None = Field(default=None, description="read at start, never logged")
    ca_file: Path | None = None


class Questions(_Section):
    """Budgets of a question, and how much may be asked."""

    max_rounds: int = Field(default=10, ge=1, le=1000)
    max_seconds: float = Field(default=120.0, gt=0)
    max_chars: int = Field(default=4000, ge=1, description="longest question that is taken")
    max_queued: int = Field(default=100, ge=1, description="questions waiting before 'busy'")
    hints: bool = Field(
        default=True, description="an agent that is lost is pointed to captions; off: bare agent"
    )
    dry_rounds: int = Field(
        default=3, ge=1, description="rounds that bring nothing new before there is a hint"
    )
    carry: bool = Field(
        default=False, description="tell the agent what the recordings before came to"
    )
    max_queued_per_client: int = Field(
        default=25, ge=1, description="questions of one client waiting before 'busy'"
    )
    keep_days: float | None = Field(
        default=None, gt=0, description="answers are kept so long; None: for ever"
    )


class Access(_Section):
    """Who may do what. The daemon's own user and root may do everything.

    Each role is given to the members of its groups, and includes the roles before it.
    """

    group: str = Field(default="edge-lvr1", description="whose members reach the socket")
    ask: tuple[str, ...] = Field(default=("edge-lvr1",), description="groups that may ask")
    ingest: tuple[str, ...] = Field(default=("edge-lvr1",), description="groups that may ingest")
    admin: tuple[str, ...] = Field(
        default=("edge-lvr1-admin",), description="groups that may hold and remove"
    )
    token_file: Path | None = Field(
        default=None, description="what a browser must show; None: made in the data folder"
    )
    token_role: Literal["ask", "ingest", "admin"] = "ask"
    proxy_users: tuple[str, ...] = Field(
        default=("edge-lvr1-web",), description="users whose requests come from a browser's proxy"
    )


class Limits(_Section):
    """What one client, and all together, may cost the daemon."""

    max_body_kib: int = Field(default=64, ge=1)
    max_header_kib: int = Field(default=16, ge=1)
    max_connections: int = Field(default=64, ge=1, description="of all clients together")
    max_connections_per_client: int = Field(default=32, ge=1)
    requests_per_s: float = Field(default=50.0, gt=0, description="of one client, in the long run")
    burst: int = Field(default=200, ge=1, description="requests of one client at once")
    request_timeout_s: float = Field(
        default=15.0, gt=0, description="a request that is not there whole by then is cut off"
    )
    stuck_s: float = Field(
        default=900.0, gt=0, description="a worker in one step for longer has systemd restart us"
    )


class KeepRule(_Section):
    """When captions, pictures and vectors of a folder's footage go; never footage itself."""

    gone_days: float | None = Field(
        default=None, ge=0, description="removed so long after the footage is gone; None: kept"
    )
    max_days: float | None = Field(
        default=None,
        gt=0,
        description="removed when the footage is older, there or not, and known for a day",
    )
    max_gb: float | None = Field(
        default=None, gt=0, description="the oldest go while the known footage is more (10^9 bytes)"
    )


class Keep(_Section):
    """Retention, backups, and the hours in which the database is tidied."""

    default: KeepRule = KeepRule()
    roots: dict[str, KeepRule] = Field(
        default_factory=dict, description="rules of single watched folders"
    )
    every_h: float = Field(default=1.0, gt=0, description="how often the rules are applied")
    backup_dir: Path | None = Field(default=None, description="None: backups in the data folder")
    backup_every_h: float | None = Field(default=24.0, gt=0, description="None: no backups")
    backups: int = Field(default=7, ge=1, description="so many are kept, the oldest go")
    quiet_hours: str = Field(
        default="02:00-05:00", description="local time in which the database is tidied"
    )


class Settings(BaseSettings):
    """All settings of a daemon and its clients."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data: Path = Field(default_factory=lambda: default_data_dir())
    socket: Path | None = None
    watch: tuple[Path, ...] = ()
    listen: str | None = Field(default=None, description="loopback HOST:PORT for a browser")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    time_zone: str | None = Field(
        default=None, description="IANA zone of file-name times; None: local"
    )
    ingest: Ingest = Ingest()
    tree: Tree = Tree()
    models: Models = Models()
    server: ModelServer = ModelServer()
    questions: Questions = Questions()
    access: Access = Access()
    limits: Limits = Limits()
    keep: Keep = Keep()

    @property
    def socket_path(self) -> Path:
        """Where the daemon listens: the setting, or a socket beside the data."""
        return self.socket or self.data / "edge-lvr1.sock"

    @property
    def database_path(self) -> Path:
        """The one SQLite file."""
        return self.data / "archive.db"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags and file arrive merged through `load`; then only the environment."""
        return (init_settings, env_settings)


def default_data_dir() -> Path:
    """$XDG_DATA_HOME/edge-lvr1, or ~/.local/share/edge-lvr1."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "edge-lvr1"


def load(flags: Mapping[str, Any] | None = None, file: Path | None = None) -> Settings:
    """The settings in force. `flags` nests like the file; None values mean "not given".

    Raises SettingsError that names the key or file, and what to do.
    """
    _check_environment()
    if file is None and os.environ.get(ENV_CONFIG):
        file = Path(os.environ[ENV_CONFIG])
    from_file = _read_file(file) if file else {}
    try:
        environment = Settings().model_dump(exclude_unset=True)
        return Settings(**_merge(_merge(from_file, environment), _given(flags or {})))
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every setting by its dotted name: "data", "ingest.settle_s"."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from known_keys(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _check_environment() -> None:
    known = {ENV_PREFIX + key.replace(".", "__").upper() for key in known_keys()} | {ENV_CONFIG}
    sections = {ENV_PREFIX + key.split(".")[0].upper() for key in known_keys()}
    for name in os.environ:
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in known | sections:
            raise SettingsError(_unknown(f"environment variable {name}", name.upper(), known))


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"there is no settings file at {file}; check --config") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"the settings file {file} cannot be read: {error}") from error


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in flags.items():
        if isinstance(value, Mapping):
            if inner := _given(value):
                kept[key] = inner
        elif value is not None and value != ():
            kept[key] = value
    return kept


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        merged[key] = _merge(old, value) if both and old is not None else value
    return merged


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown(f"setting {key}", key, set(known_keys()))
    return f"the setting {key} cannot be {first['input']!r}: {first['msg']}"


def _unknown(what: str, key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0)
    return f"unknown {what}; did you mean {near[0]}?"
