/* stages_summary.c: what a stage is, for a person, when it begins: its batch, its updates, the
 * memory of its largest step. */
#include <stdlib.h>

#include "common/base/log.h"
#include "common/recipe/presets.h"
#include "learner/stages_impl.h"

/* Groups of the longest prompt with whole completions, as many as an update has. */
struct largest_batch {
    struct train_group group;
    struct train_completion *completions; /* owned; without tokens */
    size_t count;
};

static struct largest_batch largest_of(const struct stages *s)
{
    const struct recipe_stage *st = s->st;
    bool demos = st->kind == STAGE_PRETRAIN;
    uint32_t prompt = 0, completion = demos ? 0 : st->max_tokens;
    for (size_t i = 0; i < corpus_count(s->data); i++) {
        uint32_t len;
        (void)corpus_prompt(s->data, i, &len);
        prompt = len > prompt ? len : prompt;
        len = demos ? corpus_completion(s->data, i).len : 0;
        completion = len > completion ? len : completion;
    }
    struct largest_batch b = {.group = {.prompt_len = prompt, .n = demos ? 1 : st->group_size},
        .count = demos ? st->batch : (st->groups + st->minibatches - 1) / st->minibatches};
    b.completions = mem_array(b.group.n, sizeof(*b.completions));
    for (uint32_t i = 0; i < b.group.n; i++)
        b.completions[i].len = completion;
    b.group.completions = b.completions;
    return b;
}

struct trainer_memory stages_memory(const struct stages *s)
{
    struct largest_batch b = largest_of(s);
    struct train_group *groups = mem_array(b.count, sizeof(*groups));
    for (size_t i = 0; i < b.count; i++)
        groups[i] = b.group;
    struct trainer_batch batch = {groups, b.count, 1};
    struct trainer_memory m = trainer_memory(s->trainer, &batch);
    m.parameters += s->o.model->table->floats * sizeof(float);
    free(groups);
    free(b.completions);
    return m;
}

static void log_preset(const struct recipe *r)
{
    const char *notes[PRESET_NOTES_MAX];
    size_t n = preset_notes(r, notes);
    for (size_t i = 0; i < n; i++)
        log_warn("stages", "preset", LOG_STR("name", r->preset), LOG_STR("differs", notes[i]));
}

void stages_log_summary(const struct stages *s, uint32_t from)
{
    const struct recipe_stage *st = s->st;
    struct trainer_memory m = stages_memory(s);
    uint64_t parameters = m.parameters >> 20, activations = m.activations >> 20;
    if (st->kind == STAGE_PRETRAIN)
        log_info("stages", "pretrain stage", LOG_STR("stage", st->name), LOG_U64("from_step", from),
            LOG_U64("steps", st->steps), LOG_U64("rows_per_step", st->batch),
            LOG_U64("rows", corpus_count(s->data)), LOG_U64("parameters_mib", parameters),
            LOG_U64("activations_mib_max", activations));
    else
        log_info("stages", "grpo stage", LOG_STR("stage", st->name), LOG_U64("from_step", from),
            LOG_U64("steps", st->steps), LOG_U64("tasks", corpus_count(s->data)),
            LOG_U64("groups_per_step", st->groups), LOG_U64("group_size", st->group_size),
            LOG_U64("completions_per_step", (uint64_t)st->groups * st->group_size),
            LOG_U64("updates_per_step", st->minibatches),
            LOG_U64("tokens_per_step_max", (uint64_t)st->groups * st->group_size * st->max_tokens),
            LOG_U64("lag", st->lag), LOG_U64("parameters_mib", parameters),
            LOG_U64("activations_mib_max", activations));
    if (st->kind == STAGE_GRPO)
        log_preset(s->o.recipe);
}
