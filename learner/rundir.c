/* rundir.c: lock, configuration, tokenizer, data. */
#include "learner/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "learner/address.h"
#include "proto/limits.h"

/* ---- lock ---- */

static int take_lock(struct rundir *r, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/lock", r->path);
    char text[32] = "";
    r->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (r->lock_fd < 0)
        return err_sys(e, ERR_FAIL, "cannot open '%s'", path);
    if (flock(r->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return err_sys(e, ERR_FAIL, "cannot lock '%s'", path);
        ssize_t n = pread(r->lock_fd, text, sizeof(text) - 1, 0);
        text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
        return err_set(e, ERR_FAIL,
            "another learner (process %s) works on the run '%s'; wait for it or stop it",
            text[0] ? text : "unknown", r->path);
    }
    int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(r->lock_fd, 0) != 0 || pwrite(r->lock_fd, text, (size_t)n, 0) != n)
        return err_sys(e, ERR_FAIL, "cannot write '%s'", path);
    return 0;
}

/* ---- configuration ---- */

struct comparison {
    struct rundir *r;
    const struct config *stored, *now;
    struct err *e; /* filled at the first change that is not allowed */
};

/* A stage may grow unless its learning rate depends on how long it is. */
static void check_extend(
    struct comparison *c, const struct config_value *was, const struct config_value *is)
{
    long long now = config_int(c->now, is->section, is->key),
              stored = config_int(c->stored, is->section, is->key);
    const char *schedule = config_str(c->now, is->section, "schedule");
    if (c->e->code != 0)
        return;
    if (now < stored)
        (void)err_set(c->e, ERR_CONFIG,
            "[%s] %s = %s (%s) is less than the run's %s (%s): it may only grow", is->section,
            is->key, is->text, is->origin, was->text, was->origin);
    else if (strcmp(schedule, "constant") != 0)
        (void)err_set(c->e, ERR_CONFIG,
            "[%s] %s = %s (%s), the run has %s (%s): with schedule = %s the learning rate depends "
            "on it",
            is->section, is->key, is->text, is->origin, was->text, was->origin, schedule);
}

static void on_change(void *arg, const struct config_value *was, const struct config_value *is)
{
    struct comparison *c = arg;
    struct rundir *r = c->r;
    if (is->option->class == OPT_EXTEND)
        check_extend(c, was, is);
    r->changes = mem_grow(r->changes, r->change_count + 1, sizeof(*r->changes));
    r->changes[r->change_count++] = mem_printf(
        "[%s] %s: was %s, is %s (%s)", is->section, is->key, was->text, is->text, is->origin);
}

static int compare_stored(struct rundir *r, const char *path, struct err *e)
{
    struct err refused = {0};
    struct config *stored = config_new(recipe_options);
    struct comparison c = {r, stored, r->config, &refused};
    int rc = config_read_file(stored, path, e);
    if (rc == 0)
        rc = recipe_check(stored, e);
    if (rc == 0)
        rc = config_compare(stored, r->config, on_change, &c, e);
    config_free(stored);
    if (rc == 0 && refused.code != 0) {
        *e = refused;
        return refused.code;
    }
    return rc;
}

static int read_config(struct rundir *r, const struct rundir_args *a, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/run.conf", r->path);
    bool stored = file_exists(path);
    r->config = config_new(recipe_options);
    int rc = recipe_read(r->config, a->conf != NULL ? a->conf : path, a->sets, a->set_count, e);
    if (rc == 0 && stored)
        rc = compare_stored(r, path, e);
    if (rc != 0)
        return rc;
    struct buf text = {0};
    config_print(r->config, &text, true);
    r->config_text = (char *)text.data;
    return file_write_atomic(path, text.data, text.len, e);
}

/* ---- life ---- */

int rundir_open(const struct rundir_args *a, struct rundir *ret, struct err *e)
{
    struct rundir r = {.path = a->path, .lock_fd = -1};
    CLEANUP_FREE char *stored = mem_printf("%s/run.conf", a->path);
    if (a->conf == NULL && !file_exists(stored)) /* and nothing is made of a mistyped name */
        return err_set(e, ERR_USAGE, "'%s' holds no run: --conf FILE says what to run", a->path);
    int rc = file_mkdirs(a->path, 0755, e);
    if (rc == 0)
        rc = take_lock(&r, e);
    if (rc == 0)
        address_clear_ended(a->path);
    if (rc == 0)
        rc = read_config(&r, a, e);
    if (rc != 0) {
        rundir_close(&r);
        return rc;
    }
    *ret = r;
    return 0;
}

void rundir_close(struct rundir *r)
{
    config_free(r->config);
    free(r->config_text);
    for (size_t i = 0; i < r->change_count; i++)
        free(r->changes[i]);
    free(r->changes);
    file_close(&r->lock_fd);
    *r = (struct rundir){.lock_fd = -1};
}

/* ---- tokenizer and data ---- */

int rundir_tokenizer(const struct rundir *r, const struct tokenizer *t, struct err *e)
{
    CLEANUP_FREE char *path = mem_printf("%s/tokenizer.json", r->path);
    const struct buf *json = tokenizer_json(t);
    CLEANUP_BUF struct buf stored = {0};
    if (!file_exists(path))
        return file_write_atomic(path, json->data, json->len, e);
    int rc = file_read(path, LIMIT_JSON_BYTES, &stored, e);
    if (rc != 0)
        return rc;
    if (stored.len != json->len || memcmp(stored.data, json->data, json->len) != 0)
        return err_set(e, ERR_DATA,
            "'%s' differs from the model's tokenizer.json: the model has changed since the run "
            "began",
            path);
    return 0;
}

int rundir_data(const struct rundir *r, const struct recipe *recipe, struct err *e)
{
    CLEANUP_FREE char *dir = mem_printf("%s/data", r->path);
    for (size_t i = 0; i < recipe->data_count; i++) {
        struct dataset *d;
        int rc = recipe_dataset_open(recipe, i, dir, &d, e);
        if (rc != 0)
            return err_ctx(e, "[data %s]", recipe->data[i].name);
        dataset_free(d);
    }
    return 0;
}
