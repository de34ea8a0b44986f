/* hub_store_test.c: the store: restarts give the same hub, failures change nothing, damage is
 * named, disk full is survived, and a person who may not write can read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "hub_rig.h"

/* ---- a small run by hand ---- */

static void check_reload(struct rig *r)
{
    CLEANUP_BUF struct buf before = {0}, after = {0};
    hub_print(r->hub, &before);
    rig_reload(r);
    hub_print(r->hub, &after);
    assert_string_equal((const char *)before.data, (const char *)after.data);
}

/* Grades what is there with a fault now and then; returns whether anything was. */
static bool grade_one(struct rig *r, struct rig_worker *judge, unsigned round)
{
    const struct msg *m = rig_poll(r, judge, 1, NULL, 0);
    if (!m || m->type != MSG_GRANT || m->grant.grade_count == 0)
        return false;
    struct grade_lease l = m->grant.grade[0];
    CLEANUP_BUF struct buf packed = {0};
    struct grade_input in;
    assert_int_equal(store_grade_input(r->store, l.job, &packed, &r->err), 0);
    assert_int_equal(grade_input_unpack(packed.data, packed.len, r->arena, &in, &r->err), 0);
    assert_int_equal(in.group, l.group);
    uint32_t members[FAKE_SIZE];
    for (size_t i = 0; i < in.completion_count; i++)
        members[i] = in.completions[i].index;
    struct msg scores = rig_scores(r, &l, members, (uint32_t)in.completion_count);
    struct score_result *s = (struct score_result *)scores.submit_scores.results;
    if (round % 3 == 0) {
        s[0].has_value = false;
        s[0].fault = round % 2 ? SCORE_FAULT_PERMANENT : SCORE_FAULT_TRANSIENT;
        s[0].verdict = VERDICT_JUDGE_FAULT;
    }
    CLEANUP_FREE char *payload = mem_printf("scores %ju", (uintmax_t)l.lease);
    assert_int_equal(rig_submit(r, judge, &scores, payload), SUBMIT_OK);
    return true;
}

static void test_reload_after_every_event_gives_the_same_hub(void **state)
{
    (void)state;
    CLEANUP_FREE char *dir = fake_dir();
    struct rig rig, *r = &rig;
    struct rig_worker actor, judge;
    rig_open(r, dir);
    check_reload(r);
    for (uint32_t step = 0; step < 4; step++) {
        rig_plan(r, step + 1, step, 5);
        check_reload(r);
        for (unsigned round = 0; round < 40; round++) {
            char name[16];
            (void)snprintf(name, sizeof(name), "a%u", round % 3);
            rig_hello(r, &actor, ROLE_ACTOR, name); /* the reload forgot the sessions */
            const struct msg *m = rig_poll(r, &actor, 2, NULL, 0);
            if (m && m->grant.sample_count && round % 4) {
                struct sample_lease l = m->grant.sample[0];
                struct msg result = rig_group_result(r, &l);
                assert_int_equal(rig_submit(r, &actor, &result, name), SUBMIT_OK);
            }
            check_reload(r);
            r->now_ms += 60000; /* past every back-off */
            rig_hello(r, &judge, ROLE_REWARD, "judge");
            grade_one(r, &judge, round);
            check_reload(r);
        }
        assert_int_equal(hub_counts(r->hub).open_groups, 0);
    }
    rig_close(r);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
}

/* ---- what is stored ---- */

static char *query(const char *dir, const char *sql)
{
    CLEANUP_FREE char *path = mem_printf("%s/run.db", dir);
    CLEANUP_BUF struct buf out = {0};
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    buf_puts(&out, "");
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) ||
        sqlite3_prepare_v2(db, sql, -1, &st, NULL))
        buf_printf(&out, "error: %s", sqlite3_errmsg(db));
    while (st && sqlite3_step(st) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        buf_printf(&out, "%s\n", text ? text : "NULL");
    }
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return mem_strdup((const char *)out.data);
}

#define ASSERT_QUERY(dir, sql, expected)                                                           \
    do {                                                                                           \
        char *got = query(dir, sql);                                                               \
        assert_string_equal(got, expected);                                                        \
        free(got);                                                                                 \
    } while (0)

/* One group with known tokens: texts, think tokens, sums; read back as the trainer sees it. */
static void test_what_is_stored(void **state)
{
    (void)state;
    CLEANUP_FREE char *dir = fake_dir();
    struct rig rig, *r = &rig;
    struct rig_worker a, judge;
    struct err e = {0};
    rig_open(r, dir);
    rig_plan(r, 1, 0, 1);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    rig_hello(r, &judge, ROLE_REWARD, "judge");
    struct sample_lease l = rig_poll(r, &a, 1, NULL, 0)->grant.sample[0];
    struct msg m = rig_group_result(r, &l);
    struct completion *c = (struct completion *)m.submit_group.completions;
    /* added tokens 0 <|end|> 1 <think> 2 </think>, then 0123456789+=\ and space: 3 ... */
    static const uint32_t whole[] = {1, 3, 4, 2, 15, 5, 0}, twice[] = {1, 3, 1, 2, 0},
                          backward[] = {2, 3, 1, 0}, empty[] = {0};
    static const float logp[] = {-1, -0.5f, -0.25f, 0, -2, -1, -1};
    c[0] = (struct completion){whole, logp, 7, STOP_EOS};
    c[1] = (struct completion){twice, logp, 5, STOP_EOS};
    c[2] = (struct completion){backward, logp, 4, STOP_EOS};
    c[3] = (struct completion){empty, logp, 1, STOP_EOS};
    assert_int_equal(rig_submit(r, &a, &m, "x"), SUBMIT_OK);
    ASSERT_QUERY(dir, "SELECT text FROM completions ORDER BY idx",
        "<think>01</think>\\\\2\n<think>0<think></think>\n</think>0<think>\n\n");
    ASSERT_QUERY(dir, "SELECT think_tokens FROM completions ORDER BY idx", "2\n0\n0\n0\n");
    ASSERT_QUERY(dir, "SELECT logp_sum FROM completions WHERE idx = 0", "-5.75\n");
    ASSERT_QUERY(dir, "SELECT prompt FROM tasks", "0+0 \\\\=\n");
    ASSERT_QUERY(dir, "SELECT answer FROM tasks", "a\\nb\n");
    CLEANUP_BUF struct buf packed = {0};
    struct grade_input in;
    assert_int_equal(store_grade_input(r->store, JOBS_PER_GROUP + 1, &packed, &e), 0);
    assert_int_equal(grade_input_unpack(packed.data, packed.len, r->arena, &in, &e), 0);
    assert_int_equal(in.prompt_len, 6);
    assert_memory_equal(in.prompt, "0+0 \\=", 6); /* exact bytes, not display text */
    assert_int_equal(in.completions[0].text_len, strlen("<think>01</think>\\2"));
    assert_memory_equal(in.completions[0].text, "<think>01</think>\\2", in.completions[0].text_len);
    assert_true(grade_one(r, &judge, 1));
    struct stored_groups *g = NULL;
    const uint64_t id = 1, none = 2;
    assert_int_equal(store_read_groups(r->store, &id, 1, &g, &e), 0);
    assert_int_equal(g->groups[0].completions[0].len, 7);
    assert_memory_equal(g->groups[0].completions[0].tokens, whole, sizeof(whole));
    assert_memory_equal(g->groups[0].completions[0].logp, logp, sizeof(logp));
    assert_int_equal(g->groups[0].completions[0].think_tokens, 2);
    assert_true(g->groups[0].completions[0].scored);
    assert_true(g->groups[0].completions[0].reward == 1.25);
    assert_true(g->groups[0].completions[0].component[1] == 1.0);
    assert_int_equal(g->groups[0].prompt_len, 3);
    stored_groups_free(g);
    assert_int_equal(store_read_groups(r->store, &none, 1, &g, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "group 2"));
    rig_close(r);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
}

/* ---- failures ---- */

static void test_injected_failures_change_nothing(void **state)
{
    (void)state;
    static const char *const faults[] = {"segment.append:1:error", "segment.appended:1:error",
        "segment.synced:1:error", "store.commit:1:error"};
    CLEANUP_FREE char *dir = fake_dir();
    struct rig rig, *r = &rig;
    struct rig_worker a;
    rig_open(r, dir);
    rig_plan(r, 1, 0, ARRAY_LEN(faults) + 1);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        rig_hello(r, &a, ROLE_ACTOR, "a");
        struct sample_lease l = rig_poll(r, &a, 1, NULL, 0)->grant.sample[0];
        struct msg m = rig_group_result(r, &l);
        CLEANUP_BUF struct buf before = {0}, after = {0};
        hub_print(r->hub, &before);
        struct hub_peer peer = {.request_id = r->next_request++};
        struct frame f = {.type = MSG_SUBMIT_GROUP,
            .role = ROLE_ACTOR,
            .epoch = a.epoch,
            .session = a.session,
            .sequence = ++a.sequence};
        struct hub_event ev = {
            .type = HUB_MESSAGE, .message = {.peer = &peer, .frame = &f, .msg = &m}};
        assert_int_equal(fault_arm(faults[i], &r->err), 0);
        assert_int_equal(rig_step(r, &ev), ERR_RETRY);
        rig_reload(r);
        hub_print(r->hub, &after);
        assert_string_equal((const char *)before.data, (const char *)after.data);
        rig_hello(r, &a, ROLE_ACTOR, "a");
        assert_int_equal(rig_submit(r, &a, &m, "again"), SUBMIT_OK);
        check_reload(r);
    }
    rig_close(r);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
}

static int reopen(struct rig *r, const char *dir, const struct store_options *o, struct err *e)
{
    store_close(r->store);
    r->store = NULL;
    *e = (struct err){0};
    struct store_options own = fake_store_options(&r->run, dir);
    return store_open(o ? o : &own, &r->store, e);
}

static void test_identity_is_checked(void **state)
{
    (void)state;
    CLEANUP_FREE char *dir = fake_dir();
    struct rig rig, *r = &rig;
    struct err e;
    rig_open(r, dir);
    static const struct store_stage other_name[] = {{"one", "grpo", 0}},
                                    other_kind[] = {{"zero", "sft", 0}},
                                    more[] = {{"zero", "grpo", 0}, {"two", "grpo", 1}},
                                    longer[] = {{"zero", "grpo", 9}};
    struct store_options good = fake_store_options(&r->run, dir), o[7];
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        o[i] = good;
    o[0].name = "other";
    o[1].seed++;
    o[2].model_config = "{}";
    o[3].numerics_id.b[3] ^= 1;
    o[4].stages = other_name;
    o[5].stages = other_kind;
    o[6].stages = more;
    o[6].stage_count = 2;
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        assert_int_equal(reopen(r, dir, &o[i], &e), ERR_CONFIG);
        assert_non_null(strstr(e.msg, "now it would be"));
    }
    good.stages = longer; /* whether it may grow is the recipe's to say; the row follows */
    assert_int_equal(reopen(r, dir, &good, &e), 0);
    ASSERT_QUERY(dir, "SELECT steps FROM stages", "9\n");
    ASSERT_QUERY(dir, "SELECT epoch FROM run", "2\n"); /* refused starts do not count */
    o[3].accept_numerics = true;
    assert_int_equal(reopen(r, dir, &o[3], &e), 0);
    ASSERT_QUERY(dir, "SELECT count(*) FROM v_alarms WHERE kind = 'run.numerics'", "1\n");
    assert_int_equal(reopen(r, dir, &o[3], &e), 0); /* it is the run's now */
    rig_close(r);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
}

static void execute(const char *dir, const char *sql)
{
    CLEANUP_FREE char *path = mem_printf("%s/run.db", dir);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_foreign_databases_are_refused(void **state)
{
    (void)state;
    CLEANUP_FREE char *dir = fake_dir();
    struct rig rig, *r = &rig;
    struct err e = {0};
    rig_open(r, dir);
    store_close(r->store);
    r->store = NULL;
    execute(dir, "PRAGMA user_version = 99");
    assert_int_equal(reopen(r, dir, NULL, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "99"));
    execute(dir, "PRAGMA user_version = 2; PRAGMA application_id = 5");
    assert_int_equal(reopen(r, dir, NULL, &e), ERR_CONFIG);
    CLEANUP_FREE char *path = mem_printf("%s/run.db", dir);
    assert_int_equal(
        file_write_atomic(path, "this is no database, but long enough to be one", 46, &e), 0);
    CLEANUP_FREE char *wal = mem_printf("%s-wal", path);
    (void)unlink(wal);
    assert_int_equal(reopen(r, dir, NULL, &e), ERR_DATA);
    rig_close(r);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
}

/* A flipped page after a kill: quick_check names it before the run goes on. */
static void test_damage_is_found_after_a_kill(void **state)
{
    (void)state;
    CLEANUP_FREE char *dir = fake_dir();
    struct rig rig, *r = &rig;
    struct err e = {0};
    rig_open(r, dir);
    for (uint32_t i = 1; i < 30; i++)
        rig_plan(r, i, i, 20);
    store_close(r->store); /* checkpoints the WAL; the state is still 'running': a kill */
    r->store = NULL;
    CLEANUP_FREE char *path = mem_printf("%s/run.db", dir);
    CLEANUP(file_close) int fd = open(path, O_RDWR);
    struct stat st;
    uint8_t garbage[64];
    memset(garbage, 0x5a, sizeof(garbage));
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 4096 * 8; at < st.st_size; at += 4096)
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), at), sizeof(garbage));
    assert_int_equal(reopen(r, dir, NULL, &e), ERR_DATA);
    assert_non_null(strstr(e.msg, "run.db"));
    rig_close(r);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
}

static void test_somebody_else_holds_the_lock(void **state)
{
    (void)state;
    CLEANUP_FREE char *dir = fake_dir();
    CLEANUP_FREE char *path = mem_printf("%s/run.db", dir);
    struct rig rig, *r = &rig;
    struct err e = {0};
    rig_open(r, dir);
    int up[2], go[2];
    assert_int_equal(pipe(up) | pipe(go), 0);
    pid_t pid = fork(); /* another process: a second handle in this one would drop our locks */
    if (pid == 0) {
        sqlite3 *db;
        char byte = 0;
        int bad = sqlite3_open(path, &db) || sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        bad |= write(up[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1;
        _exit(bad);
    }
    char byte;
    int status;
    assert_int_equal(read(up[0], &byte, 1), 1);
    struct batch b;
    batch_init(&b);
    batch_event(&b, EVENT_INFO, "test", "", "hello");
    assert_int_equal(store_apply(r->store, &b, &e), ERR_RETRY);
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(store_apply(r->store, &b, &e), 0);
    batch_done(&b);
    rig_close(r);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
    close(up[0]), close(up[1]), close(go[0]), close(go[1]);
}

/* ---- readers ---- */

/* Runs as a user who owns nothing here: the exit status says what went wrong. */
static int read_as_nobody(const char *dir, const char *expected)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(10);
        char *got = query(dir, "SELECT count(*) FROM v_groups");
        int bad = strcmp(got, expected) != 0;
        if (bad)
            (void)fprintf(stderr, "reader got: %s\n", got);
        _exit(bad);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* While it runs, after a kill (nothing closed), after a clean stop; with a umask that would forbid
 * it. */
static void test_a_reader_without_permission_to_write(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("skip: needs root to become somebody else\n");
        skip();
    }
    mode_t was = umask(077);
    CLEANUP_FREE char *dir = fake_dir();
    assert_int_equal(chmod(dir, 0755), 0);
    struct rig rig, *r = &rig;
    rig_open(r, dir);
    rig_plan(r, 1, 0, 3);
    assert_int_equal(read_as_nobody(dir, "3\n"), 0);
    rig_close(r);
    assert_int_equal(read_as_nobody(dir, "3\n"), 0);
    pid_t pid = fork();
    if (pid == 0) {
        rig_open(r, dir);
        rig_plan(r, 2, 1, 3); /* a process that ends without closing anything */
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read_as_nobody(dir, "6\n"), 0);
    (void)umask(was);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
}

/* Every view answers, and names its columns as documented. */
static void test_views_answer(void **state)
{
    (void)state;
    static const char *const views[] = {"v_run", "v_steps", "v_groups", "v_completions", "v_scores",
        "v_verdicts", "v_tasks", "v_workers", "v_leases", "v_lag", "v_evals", "v_metrics",
        "v_events", "v_alarms"};
    CLEANUP_FREE char *dir = fake_dir();
    struct rig rig, *r = &rig;
    struct rig_worker a, judge;
    rig_open(r, dir);
    rig_plan(r, 1, 0, 2);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    rig_hello(r, &judge, ROLE_REWARD, "judge");
    rig_sample_all(r, &a);
    while (grade_one(r, &judge, 1)) {}
    for (size_t i = 0; i < ARRAY_LEN(views); i++) {
        CLEANUP_FREE char *sql = mem_printf("SELECT * FROM %s", views[i]);
        CLEANUP_FREE char *got = query(dir, sql);
        assert_null(strstr(got, "error:"));
    }
    ASSERT_QUERY(dir, "SELECT count(*) FROM v_completions WHERE verdict = 'pass'", "8\n");
    ASSERT_QUERY(dir, "SELECT completions FROM v_verdicts WHERE scorer = 'right'", "8\n");
    ASSERT_QUERY(dir, "SELECT count(*) FROM v_groups WHERE tied", "2\n");
    ASSERT_QUERY(dir, "SELECT group_concat(name) FROM v_workers WHERE state = 'up'", "a,judge\n");
    ASSERT_QUERY(dir, "SELECT prompt FROM v_tasks ORDER BY pass_rate, task LIMIT 1", "0+0 \\\\=\n");
    rig_close(r);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
}

/* A reader that holds a transaction lets the WAL grow: an alarm, and every commit still works. */
static void test_long_reader(void **state)
{
    (void)state;
    CLEANUP_FREE char *dir = fake_dir();
    CLEANUP_FREE char *path = mem_printf("%s/run.db", dir);
    struct rig rig, *r = &rig;
    struct err e = {0};
    rig_open(r, dir);
    struct store_options o = fake_store_options(&r->run, dir);
    o.wal_alarm_mib = 2;
    assert_int_equal(reopen(r, dir, &o, &e), 0);
    int up[2], go[2];
    assert_int_equal(pipe(up) | pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        sqlite3 *db;
        char byte = 0;
        int bad = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) ||
                  sqlite3_exec(db, "BEGIN; SELECT * FROM run", NULL, NULL, NULL);
        bad |= write(up[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1;
        _exit(bad);
    }
    char byte;
    assert_int_equal(read(up[0], &byte, 1), 1);
    for (int i = 0; i < 100; i++) {
        struct batch b;
        batch_init(&b);
        for (int k = 0; k < 100; k++)
            batch_event(&b, EVENT_INFO, "noise", "", "%0400d", k);
        assert_int_equal(store_apply(r->store, &b, &e), 0);
        batch_done(&b);
    }
    ASSERT_QUERY(dir, "SELECT count(*) FROM v_alarms WHERE kind = 'store.wal'", "1\n");
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    rig_close(r);
    assert_int_equal(file_remove_tree(dir, NULL), 0);
    close(up[0]), close(up[1]), close(go[0]), close(go[1]);
}

/* ---- disk full ---- */

static int on_small_disk(void)
{
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", "/mnt", "tmpfs", 0, "size=1m"))
        return 77;
    struct rig rig, *r = &rig;
    struct rig_worker a;
    static char filler[4096];
    rig_open(r, "/mnt/run");
    rig_plan(r, 1, 0, 4);
    rig_hello(r, &a, ROLE_ACTOR, "a");
    struct sample_lease l = rig_poll(r, &a, 1, NULL, 0)->grant.sample[0];
    struct msg m = rig_group_result(r, &l);
    int fd = open("/mnt/filler", O_RDWR | O_CREAT, 0600);
    while (write(fd, filler, sizeof(filler)) > 0) {}
    CLEANUP_BUF struct buf before = {0}, after = {0};
    hub_print(r->hub, &before);
    struct batch b;
    struct hub_peer peer = {.request_id = 999};
    struct frame f = {.type = MSG_SUBMIT_GROUP,
        .role = ROLE_ACTOR,
        .epoch = a.epoch,
        .session = a.session,
        .sequence = 999};
    struct hub_event ev = {.type = HUB_MESSAGE, .message = {.peer = &peer, .frame = &f, .msg = &m}};
    batch_init(&b);
    hub_step(r->hub, &ev, r->now_ms, &b);
    for (int i = 0; i < 3; i++) {
        if (store_apply(r->store, &b, &r->err) != ERR_RETRY)
            return 1;
    }
    if (close(fd) || unlink("/mnt/filler"))
        return 2;
    rig_reload(r); /* space is back: what was there before is there */
    hub_print(r->hub, &after);
    if (strcmp((const char *)before.data, (const char *)after.data) != 0)
        return 3;
    rig_hello(r, &a, ROLE_ACTOR, "a");
    if (rig_submit(r, &a, &m, "again") != SUBMIT_OK)
        return 4;
    batch_done(&b);
    rig_close(r);
    return 0;
}

static void test_disk_full(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(on_small_disk());
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skip: cannot mount a small tmpfs here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    log_setup(LOG_ERROR, "");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reload_after_every_event_gives_the_same_hub),
        cmocka_unit_test(test_what_is_stored),
        cmocka_unit_test(test_injected_failures_change_nothing),
        cmocka_unit_test(test_identity_is_checked),
        cmocka_unit_test(test_foreign_databases_are_refused),
        cmocka_unit_test(test_damage_is_found_after_a_kill),
        cmocka_unit_test(test_somebody_else_holds_the_lock),
        cmocka_unit_test(test_a_reader_without_permission_to_write),
        cmocka_unit_test(test_views_answer),
        cmocka_unit_test(test_long_reader),
        cmocka_unit_test(test_disk_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
