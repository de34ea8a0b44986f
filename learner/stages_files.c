/* stages_files.c: what a stage leaves on the disk: weights of versions, checkpoints, its model; and
 * what it lets go. Every write goes on by itself once a full disk has room again. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "learner/publish.h"
#include "learner/stages_impl.h"

/* ---- writing ---- */

typedef int write_fn(struct stages *s, void *arg, struct err *e);

/* Tries again, with a pause, for as long as the disk's failure may pass and nobody stops the run.
 */
static int write_until_done(struct stages *s, write_fn *write, void *arg, struct err *e)
{
    for (;;) {
        struct err why = {0};
        int r = write(s, arg, &why);
        if (r == 0)
            return 0;
        if (r != ERR_RETRY) {
            *e = why;
            return r;
        }
        if ((r = stages_pause(s, &why, e)) != 0)
            return r;
    }
}

struct version_file {
    uint64_t version, bytes;
    const struct hash *digest;
};

static int write_version(struct stages *s, void *arg, struct err *e)
{
    struct version_file *v = arg;
    return publish_version(s->o.run_dir, v->version, trainer_state(s->trainer).params, v->digest,
        &s->scratch, &v->bytes, e);
}

int stages_publish(struct stages *s, uint64_t version, const struct hash *digest,
    uint64_t *ret_bytes, struct err *e)
{
    struct version_file v = {.version = version, .digest = digest};
    int r = write_until_done(s, write_version, &v, e);
    if (r == 0)
        *ret_bytes = v.bytes;
    return r;
}

int stages_ensure_file(struct stages *s, uint64_t version, struct err *e)
{
    char relative[PUBLISH_PATH];
    publish_path(version, relative);
    CLEANUP_FREE char *path = mem_printf("%s/%s", s->o.run_dir, relative);
    CLEANUP_FREE struct version_row *rows = NULL;
    size_t count;
    if (file_exists(path))
        return 0;
    int r = service_versions(s->o.service, &rows, &count, e);
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (rows[i].version != version)
            continue;
        struct hash digest = params_digest(trainer_state(s->trainer).params);
        uint64_t bytes;
        log_warn("stages", "weights file is gone, writing it again", LOG_STR("path", relative));
        return stages_publish(s, version, &digest, &bytes, e);
    }
    return r;
}

struct checkpoint_file {
    struct checkpoint_state state;
    struct hash manifest;
};

static int write_checkpoint(struct stages *s, void *arg, struct err *e)
{
    struct checkpoint_file *c = arg;
    return checkpoint_write(s->o.run_dir, &c->state, s->trainer, &c->manifest, e);
}

int stages_write_checkpoint(struct stages *s, uint32_t done, const struct hash *digest,
    struct hash *ret_manifest, struct err *e)
{
    struct checkpoint_file c = {.state = {.stage = s->stage,
                                    .step = done,
                                    .updates = s->updates,
                                    .digest = *digest,
                                    .numerics_id = s->o.numerics_id}};
    (void)snprintf(c.state.training_id, sizeof(c.state.training_id), "%s", s->o.training_id);
    int r = write_until_done(s, write_checkpoint, &c, e);
    if (r == 0)
        *ret_manifest = c.manifest;
    return r;
}

static int write_model(struct stages *s, void *arg, struct err *e)
{
    return publish_model(s->o.run_dir, s->st->name, trainer_state(s->trainer).params, arg,
        s->o.model->tokenizer, &s->scratch, e);
}

int stages_write_model(struct stages *s, struct err *e)
{
    struct hash digest = params_digest(trainer_state(s->trainer).params);
    return write_until_done(s, write_model, &digest, e);
}

/* ---- letting go ---- */

/* Unlinks what the prune rule lets go before the commit that says so; a crash between the two
 * leaves rows whose file is missing and which the next commit prunes. */
int stages_prune_versions(
    struct stages *s, uint64_t newest, uint64_t **ret, size_t *ret_count, struct err *e)
{
    CLEANUP_FREE struct version_row *rows = NULL;
    size_t count;
    int r = service_versions(s->o.service, &rows, &count, e);
    if (r != 0)
        return r;
    uint64_t pinned[2];
    struct publish_keep k = {.newest = newest, .keep = s->st->lag + 2, .pinned = pinned};
    if (s->st->kind == STAGE_GRPO && s->st->loss.kl_coef != 0)
        pinned[k.pinned_count++] = s->first_version;
    if (s->has_checkpoint_version)
        pinned[k.pinned_count++] = s->checkpoint_version;
    CLEANUP_FREE uint64_t *list = mem_array(count + 1, sizeof(*list));
    size_t pruned = publish_prunable(rows, count, &k, list);
    for (size_t i = 0; i < pruned; i++) {
        if ((r = publish_unlink(s->o.run_dir, list[i], e)) != 0)
            return r;
    }
    *ret = steal(&list);
    *ret_count = pruned;
    return 0;
}

/* One a step is enough, since a step adds one at most; and only committed ones count, so that a
 * crash before the commit leaves the one that the database names. */
int stages_prune_checkpoint(struct stages *s, uint32_t *ret, size_t *ret_count, struct err *e)
{
    *ret_count = 0;
    if (s->checkpoint_count <= s->o.recipe->keep_checkpoints)
        return 0;
    int r = checkpoint_remove(s->o.run_dir, s->checkpoints[0], e);
    if (r != 0)
        return r;
    *ret = (uint32_t)s->checkpoints[0];
    *ret_count = 1;
    s->checkpoint_count--;
    memmove(s->checkpoints, s->checkpoints + 1, s->checkpoint_count * sizeof(*s->checkpoints));
    return 0;
}
