-- The tables of RUN/run.db, schema version 1 (user_version); the scripts that store_db.c lists bring
-- it to the newest. DESIGN section 7.
-- Times are milliseconds since 1970 for people; no rule depends on them. Ids of groups and jobs are assigned
-- when planned, in slot order, so that the tables of two runs of one recipe compare row by row.

CREATE TABLE run (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  name          TEXT NOT NULL,
  seed          INTEGER NOT NULL,
  created_ms    INTEGER NOT NULL,
  config        TEXT NOT NULL,           -- effective configuration with origins
  build         TEXT NOT NULL,
  model_config  TEXT NOT NULL,           -- config.json
  tokenizer     BLOB NOT NULL,           -- BLAKE2b-256 of tokenizer.json
  numerics_id   BLOB NOT NULL,
  training_id   TEXT NOT NULL,           -- hash of a fixed backward and update
  epoch         INTEGER NOT NULL,        -- counts starts of the learner
  commits       INTEGER NOT NULL DEFAULT 0, -- counts those of the recipe's thread, to tell one that is done already
  state         TEXT NOT NULL CHECK (state IN ('running', 'stopped', 'finished', 'failed')),
  why           TEXT NOT NULL DEFAULT '' -- of a failure
) STRICT;

CREATE TABLE stages (
  stage         INTEGER PRIMARY KEY,     -- index in the recipe
  name          TEXT NOT NULL UNIQUE,
  kind          TEXT NOT NULL,
  steps         INTEGER NOT NULL,
  first_version INTEGER,                 -- B: the version it started at
  state         TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'finished', 'failed')),
  started_ms    INTEGER,
  finished_ms   INTEGER
) STRICT;

CREATE TABLE tasks (
  id            INTEGER PRIMARY KEY,     -- assigned at first use, in plan order
  data          TEXT NOT NULL,           -- [data NAME]
  row           INTEGER NOT NULL,        -- number in the dataset
  row_key       TEXT NOT NULL,
  prompt        TEXT NOT NULL,           -- the question, display text
  answer        TEXT NOT NULL,           -- reference answer, display text
  prompt_ids    BLOB NOT NULL,           -- u32 little-endian: the rendered prompt
  json          TEXT NOT NULL,           -- what the scorers get
  UNIQUE (data, row)
) STRICT;

CREATE TABLE versions (
  version       INTEGER PRIMARY KEY,
  stage         INTEGER REFERENCES stages,
  step          INTEGER,                 -- that produced it; NULL: the stage's start
  updates       INTEGER NOT NULL,        -- optimiser updates over the whole run
  digest        BLOB NOT NULL,
  path          TEXT,                    -- relative to RUN; NULL once pruned
  bytes         INTEGER NOT NULL,
  created_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE groups (
  id            INTEGER PRIMARY KEY,
  purpose       TEXT NOT NULL CHECK (purpose IN ('train', 'eval')),
  stage         INTEGER NOT NULL REFERENCES stages,
  step          INTEGER NOT NULL,        -- of the stage; for eval: steps done when it was planned
  wave          INTEGER NOT NULL DEFAULT 0,
  slot          INTEGER NOT NULL,
  mode          TEXT NOT NULL CHECK (mode IN ('sampled', 'greedy')),
  task          INTEGER NOT NULL REFERENCES tasks,
  ordinal       INTEGER NOT NULL,        -- of the RNG key
  version       INTEGER NOT NULL REFERENCES versions,
  n             INTEGER NOT NULL,
  temperature   REAL NOT NULL,
  max_tokens    INTEGER NOT NULL,
  state         TEXT NOT NULL CHECK (state IN ('planned', 'sampled', 'scored')),
  worker        TEXT,                    -- that sampled it
  weights       BLOB,                    -- content hash the worker had verified
  numerics_id   BLOB,
  digest        BLOB,                    -- of the submitted result
  segment       INTEGER,                 -- RUN/samples/SEGMENT.seg; NULL once pruned
  offset        INTEGER,
  length        INTEGER,
  reward_mean   REAL,
  reward_std    REAL,
  tied          INTEGER,                 -- 1: no variance
  sampled_ms    INTEGER,
  scored_ms     INTEGER,
  sample_us     INTEGER,
  UNIQUE (stage, step, purpose, mode, wave, slot)
) STRICT;
CREATE INDEX groups_task ON groups (task);
CREATE INDEX groups_open ON groups (version) WHERE state <> 'scored';

CREATE TABLE jobs (
  id            INTEGER PRIMARY KEY,     -- group x 64 + number; number 0 is the sample job
  kind          TEXT NOT NULL CHECK (kind IN ('sample', 'grade')),
  group_id      INTEGER NOT NULL REFERENCES groups,
  members       TEXT NOT NULL DEFAULT '', -- grade: indices, comma separated; '' = all
  state         TEXT NOT NULL CHECK (state IN ('ready', 'leased', 'done')),
  attempts      INTEGER NOT NULL DEFAULT 0, -- leases granted
  faults        INTEGER NOT NULL DEFAULT 0  -- transient judge faults so far
) STRICT;
CREATE INDEX jobs_open ON jobs (id) WHERE state <> 'done';

CREATE TABLE workers (
  name          TEXT PRIMARY KEY,
  role          TEXT NOT NULL CHECK (role IN ('actor', 'reward')),
  host          TEXT NOT NULL,
  build         TEXT NOT NULL,
  numerics_id   BLOB,
  state         TEXT NOT NULL CHECK (state IN ('up', 'gone', 'lost')),
  first_ms      INTEGER NOT NULL,
  seen_ms       INTEGER NOT NULL,        -- last session begin, submission or end
  sessions      INTEGER NOT NULL,
  jobs          INTEGER NOT NULL DEFAULT 0, -- submitted
  tokens        INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE leases (
  id            INTEGER PRIMARY KEY,     -- never reused: the fencing token
  job           INTEGER NOT NULL REFERENCES jobs,
  worker        TEXT NOT NULL REFERENCES workers,
  epoch         INTEGER NOT NULL,
  granted_ms    INTEGER NOT NULL,
  ended_ms      INTEGER,
  outcome       TEXT CHECK (outcome IN ('submitted', 'expired', 'released', 'lost', 'rejected')),
  result        BLOB,                    -- digest of the submitted result: the idempotency key's value
  CHECK ((ended_ms IS NULL) = (outcome IS NULL))
) STRICT;
CREATE UNIQUE INDEX leases_live ON leases (job) WHERE ended_ms IS NULL;
CREATE INDEX leases_worker ON leases (worker) WHERE ended_ms IS NULL;

CREATE TABLE completions (
  group_id      INTEGER NOT NULL REFERENCES groups,
  idx           INTEGER NOT NULL,
  tokens        INTEGER NOT NULL,
  think_tokens  INTEGER NOT NULL,        -- between the think tags; 0 without both
  stop          TEXT NOT NULL,
  text          TEXT NOT NULL,           -- display text; exact bytes come from the tokens
  logp_sum      REAL NOT NULL,
  reward        REAL,                    -- weighted sum; NULL: not scored (yet, or permanently)
  verdict       TEXT,                    -- of the primary scorer
  advantage     REAL,
  PRIMARY KEY (group_id, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE scores (
  group_id      INTEGER NOT NULL,
  idx           INTEGER NOT NULL,
  scorer        TEXT NOT NULL,
  value         REAL,                    -- NULL: unscored
  verdict       TEXT NOT NULL,
  fault         TEXT NOT NULL,
  reason        TEXT NOT NULL,
  extracted     TEXT NOT NULL,
  isolation     TEXT NOT NULL,
  wall_us       INTEGER NOT NULL,
  worker        TEXT NOT NULL,
  lease         INTEGER NOT NULL REFERENCES leases,
  PRIMARY KEY (group_id, idx, scorer),
  FOREIGN KEY (group_id, idx) REFERENCES completions
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
  stage         INTEGER NOT NULL REFERENCES stages,
  step          INTEGER NOT NULL,        -- 0-based
  version       INTEGER REFERENCES versions, -- produced; NULL when this step published none (pretrain)
  updates       INTEGER NOT NULL,        -- over the whole run, after the step
  digest        BLOB NOT NULL,           -- of the parameters after the step
  groups        INTEGER NOT NULL,        -- used, tied ones left out
  tokens        INTEGER NOT NULL,        -- trained on
  wall_ms       INTEGER NOT NULL,
  committed_ms  INTEGER NOT NULL,
  PRIMARY KEY (stage, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE step_groups (
  group_id      INTEGER PRIMARY KEY REFERENCES groups, -- a group is consumed by at most one step (G2)
  stage         INTEGER NOT NULL,
  step          INTEGER NOT NULL,
  minibatch     INTEGER NOT NULL,        -- -1: tied and skipped
  lag           INTEGER NOT NULL,        -- version before the step minus the group's version
  FOREIGN KEY (stage, step) REFERENCES steps
) STRICT;

CREATE TRIGGER step_groups_train BEFORE INSERT ON step_groups
WHEN (SELECT purpose FROM groups WHERE id = NEW.group_id) IS NOT 'train'
BEGIN SELECT raise(ABORT, 'only train groups may be trained on'); END;

CREATE TABLE checkpoints (
  updates       INTEGER PRIMARY KEY,     -- RUN/checkpoints/update-UPDATES
  stage         INTEGER NOT NULL,
  step          INTEGER NOT NULL,        -- steps of the stage done
  path          TEXT NOT NULL,           -- relative to RUN
  manifest      BLOB NOT NULL,           -- hash of the manifest file
  digest        BLOB NOT NULL,           -- of the parameters
  state         TEXT NOT NULL CHECK (state IN ('valid', 'pruned')),
  created_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE metrics (
  stage         INTEGER NOT NULL,
  step          INTEGER NOT NULL,
  name          TEXT NOT NULL,           -- `eval/...` are of the evaluation after that many steps
  value         REAL NOT NULL,
  PRIMARY KEY (stage, name, step)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER groups_scored_once BEFORE UPDATE OF state ON groups
WHEN OLD.state = 'scored' OR (OLD.state = 'sampled' AND NEW.state <> 'scored')
BEGIN SELECT raise(ABORT, 'a group goes from planned to sampled to scored, once'); END;

CREATE TABLE events (
  id            INTEGER PRIMARY KEY,
  at_ms         INTEGER NOT NULL,
  level         TEXT NOT NULL CHECK (level IN ('info', 'warn', 'alarm')),
  kind          TEXT NOT NULL,
  subject       TEXT NOT NULL DEFAULT '',
  message       TEXT NOT NULL
) STRICT;
