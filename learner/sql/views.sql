-- Views for people: plain names, one question each. Everything here may be read while the run goes on:
--     sqlite3 -readonly RUN/run.db
-- Times are local text; ids of completions are group x 1024 + index, as `cohort explain` takes them.

-- What is this run, and where is it?
CREATE VIEW v_run AS
SELECT name, state, why, seed,
       datetime(created_ms / 1000, 'unixepoch', 'localtime') AS created,
       (SELECT name FROM stages WHERE stages.state = 'running') AS stage,
       (SELECT max(version) FROM versions) AS version,
       (SELECT count(*) FROM steps) AS steps,
       (SELECT count(*) FROM groups WHERE groups.state <> 'scored') AS open_groups,
       (SELECT count(*) FROM leases WHERE ended_ms IS NULL) AS live_leases,
       (SELECT count(*) FROM workers WHERE workers.state = 'up') AS workers_up,
       epoch - 1 AS restarts
FROM run;

-- What is the reward curve? One row per step of training; lengths and shares are over its completions,
-- think_tokens_mean over those that have something between the think tags.
--   SELECT step, reward, pass_rate, tokens_mean FROM v_steps WHERE stage = 'zero';
CREATE VIEW v_steps AS
SELECT st.name AS stage, s.step, s.version, s.updates, s.groups,
       (SELECT count(*) FROM step_groups x WHERE x.stage = s.stage AND x.step = s.step) AS groups_planned,
       c.reward, c.pass_rate, c.truncated, c.tokens_mean, c.think_tokens_mean, c.unscored,
       (SELECT sum(g.tied) FROM step_groups x JOIN groups g ON g.id = x.group_id
         WHERE x.stage = s.stage AND x.step = s.step) AS tied_groups,
       (SELECT avg(x.lag) FROM step_groups x WHERE x.stage = s.stage AND x.step = s.step) AS lag,
       s.tokens AS tokens_trained, s.wall_ms / 1000.0 AS seconds,
       datetime(s.committed_ms / 1000, 'unixepoch', 'localtime') AS committed,
       lower(hex(s.digest)) AS digest
FROM steps s JOIN stages st ON st.stage = s.stage
LEFT JOIN (SELECT x.stage, x.step, avg(k.reward) AS reward, avg(k.verdict = 'pass') AS pass_rate,
                  avg(k.stop = 'length') AS truncated, avg(k.tokens) AS tokens_mean,
                  avg(nullif(k.think_tokens, 0)) AS think_tokens_mean, sum(k.reward IS NULL) AS unscored
           FROM step_groups x JOIN completions k ON k.group_id = x.group_id
           GROUP BY x.stage, x.step) c ON c.stage = s.stage AND c.step = s.step;

-- Which groups had no variance? Who sampled which task, from which version?
--   SELECT id, prompt, reward FROM v_groups WHERE tied AND purpose = 'train';
CREATE VIEW v_groups AS
SELECT g.id, st.name AS stage, g.step, g.wave, g.slot, g.purpose, g.mode, g.state,
       t.data, t.row_key, t.prompt, t.answer, g.version, x.lag, g.n AS completions,
       g.reward_mean AS reward, g.reward_std, g.tied,
       (SELECT avg(k.verdict = 'pass') FROM completions k WHERE k.group_id = g.id) AS pass_rate,
       x.group_id IS NOT NULL AS trained, x.minibatch,
       g.worker, g.sample_us / 1e6 AS sample_seconds,
       datetime(g.sampled_ms / 1000, 'unixepoch', 'localtime') AS sampled,
       datetime(g.scored_ms / 1000, 'unixepoch', 'localtime') AS scored
FROM groups g JOIN stages st ON st.stage = g.stage JOIN tasks t ON t.id = g.task
LEFT JOIN step_groups x ON x.group_id = g.id;

-- What did the model write, and what was it worth?
--   SELECT prompt, text, reward, verdict FROM v_completions WHERE task = 7 ORDER BY id;
CREATE VIEW v_completions AS
SELECT g.id * 1024 + k.idx AS id, g.id AS group_id, k.idx, st.name AS stage, g.step, g.purpose, g.mode,
       g.task, t.prompt, t.answer, k.text, k.reward, k.verdict, k.advantage, k.stop, k.tokens,
       k.think_tokens, k.logp_sum, g.version, g.worker
FROM completions k JOIN groups g ON g.id = k.group_id JOIN stages st ON st.stage = g.stage
JOIN tasks t ON t.id = g.task;

-- Every component of every score, with its reason.
CREATE VIEW v_scores AS
SELECT s.group_id * 1024 + s.idx AS completion, st.name AS stage, g.step, g.purpose, s.scorer, s.value,
       s.verdict, s.fault, s.reason, s.extracted, s.isolation, s.wall_us / 1e6 AS seconds, s.worker
FROM scores s JOIN groups g ON g.id = s.group_id JOIN stages st ON st.stage = g.stage;

-- Which verdicts did step 40 get, and why?
--   SELECT * FROM v_verdicts WHERE stage = 'zero' AND step = 40 AND purpose = 'train';
CREATE VIEW v_verdicts AS
SELECT stage, step, purpose, scorer, verdict, reason, count(*) AS completions, avg(value) AS value_mean,
       min(completion) AS example
FROM v_scores GROUP BY stage, step, purpose, scorer, verdict, reason;

-- Which tasks are the hardest? Over all completions of a task so far.
--   SELECT * FROM v_tasks ORDER BY pass_rate, completions DESC LIMIT 20;
CREATE VIEW v_tasks AS
SELECT t.id AS task, t.data, t.row_key, t.prompt, t.answer, g.purpose, count(*) AS completions,
       avg(k.verdict = 'pass') AS pass_rate, avg(k.reward) AS reward, avg(k.tokens) AS tokens_mean
FROM tasks t JOIN groups g ON g.task = t.id JOIN completions k ON k.group_id = g.id
WHERE k.verdict IS NOT NULL
GROUP BY t.id, g.purpose;

-- Who is working now, and on what?
CREATE VIEW v_workers AS
SELECT w.name, w.role, w.state, w.host,
       (SELECT count(*) FROM leases l WHERE l.worker = w.name AND l.ended_ms IS NULL) AS live_leases,
       (SELECT group_concat(l.job / 64) FROM leases l WHERE l.worker = w.name AND l.ended_ms IS NULL)
         AS groups,
       w.jobs, w.tokens, w.sessions,
       datetime(w.first_ms / 1000, 'unixepoch', 'localtime') AS first,
       datetime(w.seen_ms / 1000, 'unixepoch', 'localtime') AS seen,
       w.build
FROM workers w;

-- What became of the leases? Live ones have no outcome.
CREATE VIEW v_leases AS
SELECT l.id, l.worker, j.kind, j.group_id, l.job, j.attempts, j.faults, l.outcome,
       datetime(l.granted_ms / 1000, 'unixepoch', 'localtime') AS granted,
       (l.ended_ms - l.granted_ms) / 1000.0 AS seconds
FROM leases l JOIN jobs j ON j.id = l.job;

-- How old were the samples that a step was trained on?
CREATE VIEW v_lag AS
SELECT st.name AS stage, x.step, x.lag, count(*) AS groups
FROM step_groups x JOIN stages st ON st.stage = x.stage GROUP BY x.stage, x.step, x.lag;

-- How good was the model at each evaluation?
CREATE VIEW v_evals AS
SELECT st.name AS stage, g.step, g.mode, g.version, count(*) AS completions,
       avg(k.verdict = 'pass') AS pass_rate, avg(k.reward) AS reward, avg(k.tokens) AS tokens_mean,
       avg(nullif(k.think_tokens, 0)) AS think_tokens_mean, avg(k.stop = 'length') AS truncated
FROM groups g JOIN stages st ON st.stage = g.stage JOIN completions k ON k.group_id = g.id
WHERE g.purpose = 'eval' AND g.state = 'scored'
GROUP BY g.stage, g.step, g.mode, g.version;

-- One number per step and name, with the stage's name.
CREATE VIEW v_metrics AS
SELECT st.name AS stage, m.step, m.name, m.value FROM metrics m JOIN stages st ON st.stage = m.stage;

-- What happened, newest last; and only what a person should look at.
CREATE VIEW v_events AS
SELECT id, datetime(at_ms / 1000, 'unixepoch', 'localtime') AS at, level, kind, subject, message
FROM events;
CREATE VIEW v_alarms AS SELECT * FROM v_events WHERE level = 'alarm';
