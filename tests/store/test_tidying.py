from __future__ import annotations

import threading

from edge_lvr1.store.db import Archive
from edge_lvr1.store.tidying import learn

ROW = (
    "INSERT INTO recordings(content, camera, starts_at, starts_epoch_s, ends_epoch_s, "
    "start_source, duration_s, width, split, captioner, nodes) "
    "VALUES (?, 'gate', 'x', ?, ?, 'mtime', 1, 1, 'uniform', 'fake', 0)"
)


def test_statistics_wait_for_whoever_writes(archive: Archive) -> None:
    with archive.transaction() as db:
        for number in range(2000):
            db.execute(ROW, [str(number), number, number])
    archive.rows("SELECT * FROM recordings WHERE camera = 'yard' AND starts_epoch_s > 1")
    writes, ended = threading.Event(), threading.Event()

    def write() -> None:
        with archive.transaction() as db:
            db.execute("DELETE FROM stirred")
            writes.set()
            ended.wait(0.2)  # nobody sets it: the write just takes its time

    writer = threading.Thread(target=write)
    writer.start()
    assert writes.wait(10.0)
    learn(archive)
    writer.join()

    assert archive.rows("SELECT * FROM sqlite_stat1")
