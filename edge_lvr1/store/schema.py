"""The tables, as named migrations; what was released once is never edited again.

Node ids are three integers h, m, l with 0 where a level has none, so that their order is
the order of time, wide before narrow. Wall-clock times stand twice: as written (ISO 8601
with offset), and as epoch seconds to select by. JSON columns hold what is only ever read
whole.
"""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("edge_lvr1")

_RECORDINGS = """
CREATE TABLE recordings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content TEXT NOT NULL UNIQUE,
    camera TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    starts_epoch_s REAL NOT NULL,
    ends_epoch_s REAL NOT NULL,
    start_source TEXT NOT NULL,
    duration_s REAL NOT NULL,
    width INTEGER NOT NULL,
    split TEXT NOT NULL,
    captioner TEXT NOT NULL,
    job INTEGER,
    watched_by TEXT,
    noted INTEGER NOT NULL DEFAULT 0,
    nodes INTEGER NOT NULL,
    captioned INTEGER NOT NULL DEFAULT 0,
    high_captioned INTEGER NOT NULL DEFAULT 0
)"""
_PARTS = """
CREATE TABLE parts (
    recording INTEGER NOT NULL REFERENCES recordings(id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    path TEXT NOT NULL,
    offset_s REAL NOT NULL,
    duration_s REAL NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (recording, ordinal)
) WITHOUT ROWID"""
_NODES = """
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY,
    recording INTEGER NOT NULL REFERENCES recordings(id) ON DELETE CASCADE,
    h INTEGER NOT NULL,
    m INTEGER NOT NULL,
    l INTEGER NOT NULL,
    start_s REAL NOT NULL,
    end_s REAL NOT NULL,
    UNIQUE (recording, h, m, l)
)"""
_CAPTIONS = """
CREATE TABLE captions (
    node INTEGER PRIMARY KEY REFERENCES nodes(id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    written_by TEXT NOT NULL,
    version TEXT NOT NULL,
    prompt TEXT NOT NULL,
    seconds REAL NOT NULL,
    frames INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    details TEXT
)"""
_NOTES = """
CREATE TABLE notes (
    recording INTEGER PRIMARY KEY REFERENCES recordings(id) ON DELETE CASCADE,
    written_by TEXT NOT NULL,
    notes TEXT NOT NULL
)"""
_JOBS = """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    offered_s REAL NOT NULL,
    finished_s REAL,
    reason TEXT NOT NULL DEFAULT '',
    recordings TEXT NOT NULL DEFAULT '[]',
    attempts INTEGER NOT NULL DEFAULT 0,
    stored INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued','leased','done','failed')),
    not_before_s REAL NOT NULL DEFAULT 0,
    owner TEXT,
    lease INTEGER NOT NULL DEFAULT 0,
    leased_until_s REAL,
    lost INTEGER NOT NULL DEFAULT 0
)"""
_QUESTIONS = """
CREATE TABLE questions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    question TEXT NOT NULL,
    answer TEXT,
    cancelled INTEGER NOT NULL DEFAULT 0,
    finished_s REAL,
    state TEXT NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued','running','done','cancelled')),
    not_before_s REAL NOT NULL DEFAULT 0,
    owner TEXT,
    lease INTEGER NOT NULL DEFAULT 0,
    leased_until_s REAL,
    lost INTEGER NOT NULL DEFAULT 0
)"""
_STEPS = """
CREATE TABLE steps (
    question INTEGER NOT NULL REFERENCES questions(number) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    step TEXT NOT NULL,
    PRIMARY KEY (question, ordinal)
) WITHOUT ROWID"""
_SEARCH = """
CREATE VIRTUAL TABLE captions_fts
USING fts5(text, content='captions', content_rowid='node', tokenize='porter unicode61')"""
# External content keeps no second copy of the text; the triggers keep the index in the
# same transaction as the caption, whoever writes it.
_SEARCH_TRIGGERS = (
    """
CREATE TRIGGER captions_added AFTER INSERT ON captions BEGIN
    INSERT INTO captions_fts(rowid, text) VALUES (new.node, new.text);
END""",
    """
CREATE TRIGGER captions_removed AFTER DELETE ON captions BEGIN
    INSERT INTO captions_fts(captions_fts, rowid, text) VALUES ('delete', old.node, old.text);
END""",
    """
CREATE TRIGGER captions_changed AFTER UPDATE ON captions BEGIN
    INSERT INTO captions_fts(captions_fts, rowid, text) VALUES ('delete', old.node, old.text);
    INSERT INTO captions_fts(rowid, text) VALUES (new.node, new.text);
END""",
)
_FILES = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    camera TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    starts_epoch_s REAL NOT NULL,
    start_source TEXT NOT NULL,
    confidence TEXT NOT NULL,
    duration_s REAL NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    cell INTEGER NOT NULL,
    taken_s REAL NOT NULL
)"""
# Stretches of a camera's time in which files were taken in since their recordings were put
# together.
_STIRRED = """
CREATE TABLE stirred (
    camera TEXT NOT NULL,
    cell INTEGER NOT NULL,
    PRIMARY KEY (camera, cell)
) WITHOUT ROWID"""
_PLACED_JOBS = _JOBS.replace("CREATE TABLE jobs", "CREATE TABLE placed_jobs").replace(
    "'leased','done'", "'leased','placed','done'"
)
_ACTIVITIES = """
CREATE TABLE activities (
    recording INTEGER PRIMARY KEY REFERENCES recordings(id) ON DELETE CASCADE,
    curve BLOB NOT NULL,
    told TEXT NOT NULL
)"""
_PICTURES = """
CREATE TABLE pictures (
    recording INTEGER NOT NULL REFERENCES recordings(id) ON DELETE CASCADE,
    time_s REAL NOT NULL,
    score REAL NOT NULL,
    hash INTEGER NOT NULL,
    webp BLOB NOT NULL,
    PRIMARY KEY (recording, time_s)
) WITHOUT ROWID"""
_CUES = """
CREATE TABLE cues (
    recording INTEGER NOT NULL REFERENCES recordings(id) ON DELETE CASCADE,
    start_s REAL NOT NULL,
    end_s REAL NOT NULL,
    text TEXT NOT NULL,
    source TEXT NOT NULL
)"""
# A recording is open while parts may follow, then waits to be captioned like a job.
_RECORDING_COLUMNS = (
    "confidence TEXT NOT NULL DEFAULT 'likely'",
    "remark TEXT NOT NULL DEFAULT ''",
    "cell INTEGER",
    "revision INTEGER NOT NULL DEFAULT 0",
    "calls_made INTEGER NOT NULL DEFAULT 0",
    "calls_saved INTEGER NOT NULL DEFAULT 0",
    "state TEXT NOT NULL DEFAULT 'queued' "
    "CHECK (state IN ('open','queued','leased','done','failed'))",
    "reason TEXT NOT NULL DEFAULT ''",
    "attempts INTEGER NOT NULL DEFAULT 0",
    "not_before_s REAL NOT NULL DEFAULT 0",
    "owner TEXT",
    "lease INTEGER NOT NULL DEFAULT 0",
    "leased_until_s REAL",
    "lost INTEGER NOT NULL DEFAULT 0",
    "stored INTEGER NOT NULL DEFAULT 0",
)
_WORD_BLOCKS = """
CREATE TABLE word_blocks (
    block INTEGER PRIMARY KEY,
    captions INTEGER NOT NULL,
    words INTEGER NOT NULL,
    lengths BLOB NOT NULL
)"""
_WORD_POSTINGS = """
CREATE TABLE word_postings (
    block INTEGER NOT NULL,
    word TEXT NOT NULL,
    nodes BLOB NOT NULL,
    times BLOB NOT NULL,
    PRIMARY KEY (block, word)
) WITHOUT ROWID"""
_VECTOR_MAKER = """
CREATE TABLE vector_maker (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    made_by TEXT NOT NULL,
    dim INTEGER NOT NULL
)"""
_VECTOR_BLOCKS = """
CREATE TABLE vector_blocks (
    block INTEGER PRIMARY KEY,
    file TEXT NOT NULL UNIQUE,
    nodes BLOB NOT NULL
)"""
# captions_fts indexes what is in no sealed block, which its docsize table tells; a caption of
# a sealed block that goes or changes is noted as gone from it.
_SEALING_TRIGGERS = (
    """
CREATE TRIGGER captions_added AFTER INSERT ON captions BEGIN
    INSERT INTO captions_fts(rowid, text) VALUES (new.node, new.text);
    INSERT OR IGNORE INTO vectors_wanted SELECT new.node FROM vector_maker;
END""",
    *(
        f"""
CREATE TRIGGER captions_{name} AFTER {event} ON captions BEGIN
    INSERT OR IGNORE INTO words_gone SELECT old.node
        WHERE NOT EXISTS (SELECT 1 FROM captions_fts_docsize WHERE id = old.node);
    INSERT INTO captions_fts(captions_fts, rowid, text) SELECT 'delete', old.node, old.text
        WHERE EXISTS (SELECT 1 FROM captions_fts_docsize WHERE id = old.node);
    INSERT OR IGNORE INTO vectors_gone SELECT old.node
        WHERE EXISTS (SELECT 1 FROM vector_blocks WHERE block = old.node >> 14);
    DELETE FROM vectors_open WHERE node = old.node;
    DELETE FROM vectors_wanted WHERE node = old.node;{more}
END"""
        for name, event, more in (
            ("removed", "DELETE", ""),
            (
                "changed",
                "UPDATE OF node, text",
                """
    INSERT INTO captions_fts(rowid, text) VALUES (new.node, new.text);
    INSERT OR IGNORE INTO vectors_wanted SELECT new.node FROM vector_maker;""",
            ),
        )
    ),
)
# What happened, in order; each row's hash covers the row before, so that nothing in the middle
# can be changed or taken out unnoticed.
_AUDIT = (
    """
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    hash TEXT NOT NULL
)""",
    *(
        f"""
CREATE TRIGGER audit_is_not_{name} BEFORE {event} ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END"""
        for name, event in (("changed", "UPDATE"), ("shortened", "DELETE"))
    ),
    # INSERT OR REPLACE deletes without waking the trigger above.
    """
CREATE TRIGGER audit_is_not_overwritten BEFORE INSERT ON audit
WHEN new.number <= (SELECT coalesce(max(number), 0) FROM audit) BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END""",
    "CREATE INDEX audit_by_kind ON audit(kind, number)",
    "CREATE INDEX audit_by_question ON audit(json_extract(what, '$.question'))",
    "CREATE INDEX audit_by_content ON audit(json_extract(what, '$.sha256'))",
)
# What no rule removes: recordings that are evidence.
_HOLDS = """
CREATE TABLE holds (
    recording INTEGER PRIMARY KEY REFERENCES recordings(id) ON DELETE RESTRICT,
    reason TEXT NOT NULL,
    who TEXT NOT NULL,
    since_s REAL NOT NULL
)"""
# Holds whose footage is in no recording right now, by its content: it may come again.
_HOLDS_WAITING = """
CREATE TABLE holds_waiting (
    sha256 TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    who TEXT NOT NULL,
    since_s REAL NOT NULL
) WITHOUT ROWID"""
# What a rule removed: numbers are never given again, and old answers name them.
_REMOVED = """
CREATE TABLE removed (
    recording INTEGER PRIMARY KEY,
    removed_s REAL NOT NULL,
    rule TEXT NOT NULL
)"""
_INDICES = (
    "CREATE INDEX recordings_by_camera ON recordings(camera, starts_epoch_s)",
    "CREATE INDEX recordings_by_start ON recordings(starts_epoch_s)",
    "CREATE INDEX recordings_by_job ON recordings(job)",
    "CREATE INDEX jobs_by_state ON jobs(state, id)",
    "CREATE INDEX questions_by_state ON questions(state, number)",
)

# On which file systems the files of a watched folder were seen last.
_ROOTS = """
CREATE TABLE roots (
    path TEXT PRIMARY KEY,
    mounts TEXT NOT NULL
) WITHOUT ROWID"""


@migrations()
def m001_recordings_and_trees(db: Database) -> None:
    """Recordings, their parts, their trees, and captions with their index."""
    for sql in (_RECORDINGS, _PARTS, _NODES, _CAPTIONS, _NOTES, _SEARCH, *_SEARCH_TRIGGERS):
        db.execute(sql)
    for sql in _INDICES[:3]:
        db.execute(sql)


@migrations()
def m002_queues(db: Database) -> None:
    """The ingest queue, the question queue, and the steps of questions."""
    for sql in (_JOBS, _QUESTIONS, _STEPS, *_INDICES[3:]):
        db.execute(sql)


@migrations()
def m003_recordings_of_many_parts(db: Database) -> None:
    """Files before they have a recording, what was seen at a glance, and words found beside."""
    for sql in (_FILES, _STIRRED, _PLACED_JOBS, _ACTIVITIES, _PICTURES, _CUES):
        db.execute(sql)
    db.execute("INSERT INTO placed_jobs SELECT * FROM jobs")
    db.execute("DROP TABLE jobs")
    db.execute("ALTER TABLE placed_jobs RENAME TO jobs")
    for column in _RECORDING_COLUMNS:
        db.execute(f"ALTER TABLE recordings ADD COLUMN {column}")
    db.execute("UPDATE recordings SET state = 'done' WHERE captioned = nodes")
    db.execute("ALTER TABLE captions ADD COLUMN inherits TEXT")
    db.execute("ALTER TABLE jobs DROP COLUMN stored")
    db.execute("DROP INDEX recordings_by_job")
    db.execute("ALTER TABLE recordings DROP COLUMN job")
    for sql in (
        "CREATE INDEX jobs_by_state ON jobs(state, id)",
        "CREATE INDEX files_by_cell ON files(camera, cell, starts_epoch_s)",
        "CREATE INDEX files_by_content ON files(sha256, start_source)",
        "CREATE INDEX files_by_content_and_start ON files(sha256, camera, starts_epoch_s)",
        "CREATE INDEX files_by_start ON files(camera, starts_epoch_s)",
        "CREATE INDEX files_by_arrival ON files(camera, taken_s)",
        "CREATE INDEX parts_by_path ON parts(path)",
        "CREATE INDEX recordings_by_cell ON recordings(camera, cell)",
        "CREATE INDEX recordings_by_state ON recordings(state, id)",
        "CREATE INDEX cues_by_recording ON cues(recording, start_s)",
    ):
        db.execute(sql)


@migrations()
def m004_search_over_a_million(db: Database) -> None:
    """Words and vectors of captions in sealed blocks; FTS5 keeps what is not sealed yet."""
    for sql in (
        _WORD_BLOCKS,
        _WORD_POSTINGS,
        "CREATE TABLE words_gone (node INTEGER PRIMARY KEY)",
        "CREATE VIRTUAL TABLE words_open USING fts5vocab(captions_fts, 'instance')",
        _VECTOR_MAKER,
        _VECTOR_BLOCKS,
        "CREATE TABLE vectors_open (node INTEGER PRIMARY KEY, vector BLOB NOT NULL)",
        "CREATE TABLE vectors_gone (node INTEGER PRIMARY KEY)",
        "CREATE TABLE vectors_wanted (node INTEGER PRIMARY KEY)",
        *(f"DROP TRIGGER captions_{name}" for name in ("added", "removed", "changed")),
        *_SEALING_TRIGGERS,
    ):
        db.execute(sql)


@migrations()
def m005_trust(db: Database) -> None:
    """The audit log, holds, footage that is gone, and who asked which question."""
    for sql in (
        *_AUDIT,
        _HOLDS,
        _HOLDS_WAITING,
        _REMOVED,
        # Since when the recordings of a file are removed by a rule, though it may be there.
        "ALTER TABLE jobs ADD COLUMN removed_s REAL",
        "CREATE INDEX jobs_removed ON jobs(id) WHERE removed_s IS NOT NULL",
        # Since when the file is not there any more, its watched folder being there.
        "ALTER TABLE files ADD COLUMN gone_s REAL",
        "CREATE INDEX files_gone ON files(gone_s) WHERE gone_s IS NOT NULL",
        _ROOTS,
        # Held is what waits for a watched folder that is away.
        *(
            f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0"
            for table in ("jobs", "recordings")
            for column in ("priority", "held")
        ),
        *(f"DROP INDEX {table}_by_state" for table in ("jobs", "recordings")),
        *(
            f"CREATE INDEX {table}_by_state ON {table}(state, held, priority DESC, id)"
            for table in ("jobs", "recordings")
        ),
        "ALTER TABLE questions ADD COLUMN client TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE questions ADD COLUMN key TEXT",
        "ALTER TABLE questions ADD COLUMN asked_by TEXT NOT NULL DEFAULT ''",
        # The request's hash, for a key that comes again with another; which turn it was given.
        "ALTER TABLE questions ADD COLUMN request TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE questions ADD COLUMN turn INTEGER",
        "ALTER TABLE questions ADD COLUMN deadline_s REAL",
        "CREATE UNIQUE INDEX questions_by_key ON questions(client, key) WHERE key IS NOT NULL",
        "CREATE INDEX questions_waiting ON questions(client, number) WHERE state = 'queued'",
        "CREATE INDEX questions_by_turn ON questions(turn)",
        "CREATE INDEX questions_by_client ON questions(client, turn)",
        "CREATE INDEX questions_by_end ON questions(finished_s)",
    ):
        db.execute(sql)
