CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, epoch INTEGER NOT NULL) STRICT;
CREATE TABLE stream (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, name TEXT NOT NULL, forgotten INTEGER, UNIQUE (source, name)
) STRICT;
-- What stands in a segment, so that opening and trimming need not look at every page.
CREATE TABLE segment (
  seg INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
  oldest INTEGER NOT NULL, newest INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE page (
  id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, lane TEXT NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL,
  seg INTEGER NOT NULL, off INTEGER NOT NULL, len INTEGER NOT NULL, digest BLOB NOT NULL
) STRICT;
CREATE INDEX page_lane ON page (lane, id);
-- Pages that were trimmed: the chain of digests stays.
CREATE TABLE gone (
  id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, lane TEXT NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL,
  seg INTEGER NOT NULL, digest BLOB NOT NULL
) STRICT;
-- 24 bytes a key: 16 of the id's hash, 8 of the meaning's. `at` is the hour of fetching.
CREATE TABLE key (
  stream INTEGER NOT NULL, hour INTEGER NOT NULL, page INTEGER NOT NULL, at INTEGER NOT NULL, keys BLOB NOT NULL,
  PRIMARY KEY (stream, hour, page)
) STRICT, WITHOUT ROWID;
CREATE TABLE work (
  source TEXT NOT NULL, stream TEXT NOT NULL, lane TEXT NOT NULL, name TEXT NOT NULL, since INTEGER NOT NULL,
  until INTEGER, cursor BLOB, wait_until INTEGER, reason TEXT, memo TEXT NOT NULL,
  PRIMARY KEY (source, stream, lane, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE coverage (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, stream TEXT NOT NULL, since INTEGER NOT NULL,
  until INTEGER NOT NULL, grade TEXT NOT NULL, cause TEXT, repairable_until INTEGER, count INTEGER NOT NULL,
  oldest INTEGER, newest INTEGER, read_at INTEGER NOT NULL
) STRICT;
CREATE INDEX coverage_until ON coverage (source, stream, until);
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, lane TEXT NOT NULL, next_page INTEGER NOT NULL,
  next_record INTEGER NOT NULL, until INTEGER, mark TEXT
) STRICT;
CREATE TABLE dead (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, source TEXT NOT NULL, stream TEXT NOT NULL,
  page INTEGER NOT NULL, record INTEGER NOT NULL, event INTEGER, kind TEXT NOT NULL, reason TEXT NOT NULL,
  at INTEGER NOT NULL, copy BLOB NOT NULL, revision INTEGER, occurrence INTEGER NOT NULL, retry INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_retry ON dead (id) WHERE retry = 1;
CREATE TABLE quota (source TEXT PRIMARY KEY, not_before INTEGER, state TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE fingerprint (
  source TEXT PRIMARY KEY, connector TEXT NOT NULL, organisation TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE action (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
-- The only table that somebody without the lock writes.
CREATE TABLE request (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, verb TEXT NOT NULL, arguments TEXT NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, 1, 0);
