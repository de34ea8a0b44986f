/* stages_resume.c: where a run goes on: its newest sound checkpoint, or its first version. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "learner/publish.h"
#include "learner/stages_impl.h"

/* ---- the beginning ---- */

/* Without a checkpoint the run begins again at version 0: the model must still be the one it began
 * with. */
static int check_first_version(struct stages *s, struct err *e)
{
    char relative[PUBLISH_PATH];
    publish_path(0, relative);
    CLEANUP_FREE char *path = mem_printf("%s/%s", s->o.run_dir, relative);
    if (!file_exists(path))
        return stages_ensure_file(s, 0, e);
    int r = params_read(&s->scratch, path, e);
    if (r != 0)
        return r;
    struct hash stored = params_digest(&s->scratch);
    struct hash now = params_digest(trainer_state(s->trainer).params);
    char a[HASH_HEX], b[HASH_HEX];
    if (hash_equal(&stored, &now))
        return 0;
    return err_set(e, ERR_DATA,
        "the model that the recipe names has digest %s, the run began with %s: it has changed "
        "since",
        hash_hex(&now, a), hash_hex(&stored, b));
}

/* ---- checkpoints ---- */

static int check_training_id(struct stages *s, const struct checkpoint_state *c, struct err *e)
{
    if (strcmp(c->training_id, s->o.training_id) == 0)
        return 0;
    if (!s->o.accept_training_id)
        return err_set(e, ERR_CONFIG,
            "the checkpoint was trained under '%s' (training id, a hash of this program's "
            "gradients), "
            "now it is '%s': steps computed again may differ in bits; --accept-training-id goes on "
            "all the same",
            c->training_id, s->o.training_id);
    CLEANUP_FREE char *text =
        mem_printf("training id was '%s', is '%s'", c->training_id, s->o.training_id);
    return stages_event(s, "warn", "training_id", text, e);
}

/* A checkpoint whose manifest hash is not known here must at least agree with the step it follows.
 */
static int check_against_step(struct stages *s, const struct checkpoint_state *c, struct err *e)
{
    struct step_row row = {0};
    int r = c->step > 0 ? service_step(s->o.service, c->stage, c->step - 1, &row, e) : 0;
    if (r != 0)
        return r;
    if (!row.committed || !hash_equal(&row.digest, &c->digest))
        return err_set(e, ERR_DATA,
            "checkpoint after %" PRIu64 " updates: its digest is not the one of "
            "stage %u step %u in the database",
            c->updates, c->stage, c->step);
    return 0;
}

/* The event that says so also marks it pruned, so that the next start does not ask for it. */
static int drop_damaged(struct stages *s, uint64_t updates, const struct err *why, struct err *e)
{
    log_warn("stages", "checkpoint is damaged, going back to an older one", LOG_ERR(why));
    uint32_t pruned = (uint32_t)updates;
    struct commit c = {.pruned_checkpoints = &pruned,
        .pruned_checkpoint_count = 1,
        .event_level = "warn",
        .event_kind = "checkpoint_damaged",
        .event_message = why->msg};
    int r = service_commit(s->o.service, &c, NULL, e);
    return r != 0 ? r : checkpoint_remove(s->o.run_dir, updates, e);
}

static int try_checkpoint(struct stages *s, uint64_t updates, const struct hash *manifest,
    struct checkpoint_state *ret, struct err *e)
{
    struct checkpoint_state c;
    int r = checkpoint_read(s->o.run_dir, updates, manifest, s->trainer, &c, e);
    if (r == 0)
        r = check_against_step(s, &c, e);
    if (r == 0)
        *ret = c;
    return r;
}

/* Tries the newest committed checkpoint, then older ones on disk; *ret_found false when none is
 * sound. */
static int find_checkpoint(struct stages *s, const struct resume_state *rs,
    struct checkpoint_state *ret, bool *ret_found, struct err *e)
{
    CLEANUP_FREE uint64_t *list = NULL;
    size_t count;
    int r = checkpoint_list(s->o.run_dir, &list, &count, e);
    if (r != 0)
        return r;
    while (count > 0 && list[count - 1] >= rs->checkpoint_updates)
        count--; /* not committed: a crash came between its name and its row */
    list = mem_grow(list, count + 1, sizeof(*list));
    list[count++] = rs->checkpoint_updates;
    *ret_found = false;
    for (; count > 0; count--) {
        struct err why = {0};
        bool newest = list[count - 1] == rs->checkpoint_updates;
        r = try_checkpoint(s, list[count - 1], newest ? &rs->checkpoint_manifest : NULL, ret, &why);
        if (r == 0)
            break;
        if (r != ERR_DATA) {
            *e = why;
            return r;
        }
        if ((r = drop_damaged(s, list[count - 1], &why, e)) != 0)
            return r;
    }
    *ret_found = count > 0;
    s->checkpoints = steal(&list);
    s->checkpoint_count = count;
    return 0;
}

static int resume_at(struct stages *s, const struct checkpoint_state *c, struct err *e)
{
    int r = check_training_id(s, c, e);
    if (r != 0)
        return r;
    s->updates = c->updates;
    struct step_row row = {0};
    if (c->step > 0 && (r = service_step(s->o.service, c->stage, c->step - 1, &row, e)) != 0)
        return r;
    s->has_checkpoint_version = row.has_version;
    s->checkpoint_version = row.version;
    log_info("stages", "resuming from a checkpoint", LOG_U64("updates", c->updates),
        LOG_STR("stage", s->o.recipe->stages[c->stage].name), LOG_U64("steps_done", c->step));
    return row.has_version ? stages_ensure_file(s, row.version, e) : 0;
}

int stages_resume(struct stages *s, uint32_t *ret_stage, uint32_t *ret_step, struct err *e)
{
    struct resume_state rs;
    struct checkpoint_state c = {0};
    bool found = false;
    int r = service_resume_state(s->o.service, &rs, e);
    if (r != 0)
        return r;
    s->has_version = rs.has_version;
    s->last_version = rs.last_version;
    if (rs.has_checkpoint && (r = find_checkpoint(s, &rs, &c, &found, e)) != 0)
        return r;
    if (found && c.stage >= s->o.recipe->stage_count)
        return err_set(e, ERR_CONFIG, "the checkpoint is of stage %u, the recipe has %zu", c.stage,
            s->o.recipe->stage_count);
    if (found)
        r = resume_at(s, &c, e);
    else if (rs.has_version)
        r = check_first_version(s, e);
    *ret_stage = c.stage;
    *ret_step = c.step;
    return r;
}
