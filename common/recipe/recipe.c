/* recipe.c: from a checked configuration to plain structs, and the checks that span options. */
#include "common/recipe/recipe.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/recipe/presets.h"

enum { SECTION_MAX = 96 };

static const char *full_section(char out[SECTION_MAX], const char *kind, const char *name)
{
    snprintf(out, SECTION_MAX, "%s %s", kind, name);
    return out;
}

static bool choice_is(
    const struct config *c, const char *section, const char *key, const char *text)
{
    return strcmp(config_str(c, section, key), text) == 0;
}

/* Position of the option's value among its choices. The enums follow the order of the choices. */
static int choice_index(const struct config *c, const char *section, const char *key)
{
    const struct config_value *v = config_value(c, section, key);
    const char *p = v->option->choices;
    size_t len = strlen(v->text);
    for (int i = 0; p; i++) {
        const char *bar = strchr(p, '|');
        size_t n = bar ? (size_t)(bar - p) : strlen(p);
        if (n == len && memcmp(p, v->text, n) == 0)
            return i;
        p = bar ? bar + 1 : NULL;
    }
    return 0; /* config_check has refused anything else */
}

static int bad(struct err *e, const struct config_value *v, const char *expected)
{
    return err_set(
        e, ERR_CONFIG, "%s: [%s] %s = %s: %s", v->origin, v->section, v->key, v->text, expected);
}

/* ---- sections ---- */

static int make_model(const struct config *c, struct recipe *r, struct err *e)
{
    struct model_config *m = &r->model;
    snprintf(m->type, sizeof(m->type), "%s", config_str(c, "model", "type"));
    m->hidden = (uint32_t)config_int(c, "model", "hidden");
    m->layers = (uint32_t)config_int(c, "model", "layers");
    m->heads = (uint32_t)config_int(c, "model", "heads");
    m->kv_heads = (uint32_t)config_int(c, "model", "kv-heads");
    m->head_dim = (uint32_t)config_int(c, "model", "head-dim");
    m->ffn = (uint32_t)config_int(c, "model", "ffn");
    m->context = (uint32_t)config_int(c, "model", "context");
    m->norm_eps = (float)config_float(c, "model", "norm-eps");
    m->rope_theta = config_float(c, "model", "rope-theta");
    m->tied = config_bool(c, "model", "tied");
    m->qkv_bias = strcmp(m->type, "qwen2") == 0;
    m->qk_norm = strcmp(m->type, "qwen3") == 0;
    if (m->kv_heads == 0)
        m->kv_heads = m->heads;
    if (m->head_dim == 0 && m->hidden % m->heads != 0)
        return bad(
            e, config_value(c, "model", "heads"), "must divide hidden when head-dim is not given");
    if (m->head_dim == 0)
        m->head_dim = m->hidden / m->heads;
    if (m->heads % m->kv_heads != 0)
        return bad(e, config_value(c, "model", "kv-heads"), "must divide heads");
    if (m->head_dim % 2 != 0)
        return bad(e, config_value(c, "model", "head-dim"), "the size of a head must be even");
    r->model_path = config_str(c, "model", "path");
    r->characters = config_str(c, "model", "characters");
    return 0;
}

/* Options of a [reward NAME] that are not the scorer's. */
static bool is_ours(const char *key)
{
    static const char *const ours[] = {"scorer", "weight", "when", "primary", "well-formed"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (strcmp(ours[i], key) == 0)
            return true;
    }
    return false;
}

/* The scorer's own options as a JSON object, in table order: those that differ from the table's
 * default, so that each kind of scorer sees its own alone. */
static char *reward_params(const struct config *c, const char *section)
{
    json_t *params = json_object();
    for (const struct config_option *o = recipe_options; o->section != NULL; o++) {
        if (strcmp(o->section, "reward *") != 0 || is_ours(o->key))
            continue;
        const char *text = config_str(c, section, o->key);
        if (o->type == OPT_INT && config_int(c, section, o->key) != strtoll(o->def, NULL, 10))
            json_object_set_new(params, o->key, json_integer(config_int(c, section, o->key)));
        else if (o->type != OPT_INT && strcmp(text, o->def) != 0)
            json_object_set_new(params, o->key, json_string(text));
    }
    char *text = json_dumps(params, JSON_COMPACT);
    json_decref(params);
    return text;
}

static int make_rewards(const struct config *c, struct recipe *r, struct err *e)
{
    const char *names[RECIPE_REWARDS_MAX];
    size_t n = config_named(c, "reward", names, RECIPE_REWARDS_MAX);
    if (n > RECIPE_REWARDS_MAX)
        return err_set(e, ERR_CONFIG, "%zu [reward NAME] sections, at most %d are allowed", n,
            RECIPE_REWARDS_MAX);
    int primary = -1;
    r->format_reward = "";
    for (size_t i = 0; i < n; i++) {
        char section[SECTION_MAX];
        full_section(section, "reward", names[i]);
        struct recipe_reward *w = &r->rewards[r->reward_count++];
        w->spec.name = names[i];
        w->spec.kind = config_str(c, section, "scorer");
        w->spec.params_json = reward_params(c, section);
        w->term.weight = config_float(c, section, "weight");
        w->term.when = (enum reward_when)reward_when_parse(config_str(c, section, "when"));
        if (config_bool(c, section, "well-formed"))
            r->format_reward = names[i];
        if (!config_bool(c, section, "primary"))
            continue;
        if (primary >= 0)
            return bad(e, config_value(c, section, "primary"), "another reward is primary already");
        primary = (int)i;
    }
    r->primary = primary < 0 ? 0 : (size_t)primary;
    if (n == 0)
        return 0;
    struct recipe_reward *first = &r->rewards[r->primary];
    first->term.primary = true;
    if (first->term.when == REWARD_ALWAYS)
        return 0;
    char section[SECTION_MAX];
    full_section(section, "reward", first->spec.name);
    return bad(e, config_value(c, section, "when"), "the primary reward counts always");
}

static void make_generator(
    const struct config *c, const char *section, struct recipe *r, struct recipe_data *d)
{
    d->gen = (struct generator_options){
        .name = d->generator,
        .demos = choice_is(c, section, "rows", "demos"),
        .seed = r->seed,
        .count = (uint32_t)config_int(c, section, "count"),
        .split = d->split,
        .heldout_permille = d->heldout_permille,
        .digits = (uint32_t)config_int(c, section, "digits"),
        .modulus = (uint32_t)config_int(c, section, "modulus"),
        .steps_share = config_float(c, section, "steps-share"),
        .pairs_share = config_float(c, section, "pairs-share"),
        .drop_tag_share = config_float(c, section, "drop-tag-share"),
    };
}

static int make_data(const struct config *c, struct recipe *r, struct err *e)
{
    const char *names[RECIPE_DATA_MAX];
    size_t n = config_named(c, "data", names, RECIPE_DATA_MAX);
    if (n > RECIPE_DATA_MAX)
        return err_set(
            e, ERR_CONFIG, "%zu [data NAME] sections, at most %d are allowed", n, RECIPE_DATA_MAX);
    for (size_t i = 0; i < n; i++) {
        char section[SECTION_MAX];
        full_section(section, "data", names[i]);
        struct recipe_data *d = &r->data[r->data_count++];
        d->name = names[i];
        d->path = config_str(c, section, "path");
        d->generator =
            choice_is(c, section, "generator", "none") ? "" : config_str(c, section, "generator");
        d->format = config_str(c, section, "format");
        d->template = config_str(c, section, "template");
        d->split = (enum dataset_split)choice_index(c, section, "split");
        d->heldout_permille = (unsigned)config_int(c, section, "heldout-permille");
        if (!d->path[0] == !d->generator[0])
            return bad(e, config_value(c, section, "path"), "give either path or generator");
        make_generator(c, section, r, d);
        if (d->gen.steps_share + d->gen.pairs_share > 1)
            return bad(e, config_value(c, section, "pairs-share"),
                "steps-share + pairs-share must not exceed 1");
    }
    return 0;
}

static int find_data(const struct recipe *r, const struct config_value *v, int *ret, struct err *e)
{
    *ret = -1;
    if (!v->text[0])
        return 0;
    for (size_t i = 0; i < r->data_count; i++)
        if (strcmp(r->data[i].name, v->text) == 0)
            *ret = (int)i;
    return *ret >= 0 ? 0 : bad(e, v, "there is no [data NAME] section of that name");
}

static void make_optim(const struct config *c, const char *s, struct recipe_optim *o)
{
    *o = (struct recipe_optim){
        .lr = config_float(c, s, "lr"),
        .lr_final = config_float(c, s, "lr-final"),
        .schedule = (enum schedule_kind)choice_index(c, s, "schedule"),
        .warmup = (uint32_t)config_int(c, s, "warmup"),
        .beta1 = config_float(c, s, "beta1"),
        .beta2 = config_float(c, s, "beta2"),
        .eps = config_float(c, s, "eps"),
        .weight_decay = config_float(c, s, "weight-decay"),
        .clip_norm = config_float(c, s, "clip-norm"),
    };
}

static void make_loss(const struct config *c, const char *s, struct recipe_loss *l)
{
    *l = (struct recipe_loss){
        .advantage = (enum advantage_kind)choice_index(c, s, "advantage"),
        .normalise = (enum normalise_kind)choice_index(c, s, "normalise"),
        .objective = (enum objective_kind)choice_index(c, s, "objective"),
        .ratio = (enum ratio_kind)choice_index(c, s, "ratio"),
        .clip_low = config_float(c, s, "clip-low"),
        .clip_high = config_float(c, s, "clip-high"),
        .dual_clip = config_float(c, s, "dual-clip"),
        .kl_coef = config_float(c, s, "kl-coef"),
        .kl = (enum kl_kind)choice_index(c, s, "kl"),
        .kl_in_reward = choice_is(c, s, "kl-in", "reward"),
        .reference_every = (uint32_t)config_int(c, s, "reference-every"),
        .entropy_coef = config_float(c, s, "entropy-coef"),
        .keep_tied = choice_is(c, s, "tied", "keep"),
        .mask_truncated = choice_is(c, s, "truncated", "mask"),
        .old_recomputed =
            choice_is(c, s, "old", "recomputed") ||
            (choice_is(c, s, "old", "auto") && !choice_is(c, "sampling", "weights", "f32")),
        .importance_cap = config_float(c, s, "importance-cap"),
    };
}

static void make_gate(const struct config *c, const char *s, struct recipe_gate *g)
{
    g->has_sampled = config_range(c, s, "gate-sampled", &g->sampled_low, &g->sampled_high);
    g->has_greedy = config_range(c, s, "gate-greedy", &g->greedy_low, &g->greedy_high);
    g->has_format = config_range(c, s, "gate-format", &g->format_low, &g->format_high);
}

/* Terms of the objective that contradict each other. */
static int check_loss(
    const struct config *c, const char *s, const struct recipe_loss *l, struct err *e)
{
    if (l->objective == OBJECTIVE_CISPO && l->ratio == RATIO_SEQUENCE)
        return bad(e, config_value(c, s, "ratio"),
            "cispo weighs each token by its own ratio: ratio = token, or objective = clip");
    if (l->objective == OBJECTIVE_CISPO && l->dual_clip > 0)
        return bad(e, config_value(c, s, "dual-clip"),
            "cispo's weights are bounded by clip-low and clip-high alone: dual-clip = 0");
    if (l->advantage == ADVANTAGE_BATCH && !l->keep_tied)
        return bad(e, config_value(c, s, "tied"),
            "against the whole step a group of equal rewards teaches as well: tied = keep, or "
            "another advantage than batch");
    return 0;
}

/* What spans options of one stage. */
static int check_stage(const struct config *c, const char *s, const struct recipe *r,
    const struct recipe_stage *st, struct err *e)
{
    bool gated = st->gate.has_sampled || st->gate.has_greedy || st->gate.has_format;
    if (gated && st->eval.data < 0)
        return bad(e, config_value(c, s, "eval-data"), "a gate needs an evaluation");
    if (st->gate.has_format && !r->format_reward[0])
        return bad(e, config_value(c, s, "gate-format"), "no [reward NAME] says well-formed = yes");
    if ((st->kind == STAGE_GRPO || st->eval.data >= 0) && r->reward_count == 0)
        return err_set(e, ERR_CONFIG, "[%s] needs rewards: add a [reward NAME] section", s);
    if (st->eval.data >= 0 && r->data[st->eval.data].gen.demos &&
        r->data[st->eval.data].generator[0])
        return bad(e, config_value(c, s, "eval-data"), "evaluations need tasks, not demos");
    if (st->kind != STAGE_GRPO)
        return 0;
    if (st->weights_type != WEIGHTS_F32 && !st->loss.old_recomputed)
        return bad(e, config_value(c, s, "old"),
            "samples of rounded weights need pi_old recomputed, or auto");
    if (check_loss(c, s, &st->loss, e) < 0)
        return e->code;
    if (st->group_size < 2)
        return bad(
            e, config_value(c, "sampling", "group"), "grpo compares completions: at least 2");
    if (st->minibatches > st->groups)
        return bad(e, config_value(c, s, "minibatches"), "at most one update per group");
    /* Varint and field overhead of SubmitGroup is below 16 bytes per completion. */
    uint64_t frame = (uint64_t)st->group_size * (8ull * st->max_tokens + 64);
    if (frame > LIMIT_SUBMIT_BYTES)
        return err_set(e, ERR_CONFIG,
            "[%s] a group of %u x %u tokens may need %llu bytes, a submission holds %d", s,
            st->group_size, st->max_tokens, (unsigned long long)frame, LIMIT_SUBMIT_BYTES);
    return 0;
}

static int make_stage(const struct config *c, const char *name, struct recipe *r, struct err *e)
{
    char s[SECTION_MAX];
    full_section(s, "stage", name);
    struct recipe_stage *st = &r->stages[r->stage_count++];
    st->name = name;
    st->kind = choice_is(c, s, "kind", "grpo") ? STAGE_GRPO : STAGE_PRETRAIN;
    if (find_data(r, config_value(c, s, "data"), &st->data, e) < 0)
        return e->code;
    if (st->data < 0)
        return bad(e, config_value(c, s, "data"), "name the [data NAME] section to train on");
    st->steps = (uint32_t)config_int(c, s, "steps");
    st->batch = (uint32_t)config_int(c, s, "batch");
    st->groups = (uint32_t)config_int(c, s, "groups");
    st->group_size = (uint32_t)config_int(c, "sampling", "group");
    st->minibatches = (uint32_t)config_int(c, s, "minibatches");
    st->lag = (uint32_t)config_int(c, s, "lag");
    st->temperature = (float)config_float(c, "sampling", "temperature");
    st->max_tokens = (uint32_t)config_int(c, "sampling", "max-tokens");
    st->weights_type = (enum weights_type)choice_index(c, "sampling", "weights");
    make_optim(c, s, &st->optim);
    make_loss(c, s, &st->loss);
    make_gate(c, s, &st->gate);
    if (find_data(r, config_value(c, s, "eval-data"), &st->eval.data, e) < 0)
        return e->code;
    st->eval.tasks = (uint32_t)config_int(c, s, "eval-tasks");
    st->eval.samples = (uint32_t)config_int(c, s, "eval-samples");
    st->eval.every = (uint32_t)config_int(c, s, "eval-every");
    st->eval.before = config_bool(c, s, "eval-before");
    st->preflight = (enum preflight_kind)choice_index(c, s, "preflight");
    return check_stage(c, s, r, st, e);
}

static int make_stages(const struct config *c, struct recipe *r, struct err *e)
{
    const char *names[RECIPE_STAGES_MAX];
    bool learns = false;
    size_t n = config_named(c, "stage", names, RECIPE_STAGES_MAX);
    if (n > RECIPE_STAGES_MAX)
        return err_set(e, ERR_CONFIG, "%zu [stage NAME] sections, at most %d are allowed", n,
            RECIPE_STAGES_MAX);
    for (size_t i = 0; i < n; i++) {
        if (make_stage(c, names[i], r, e) < 0)
            return e->code;
        learns = learns || r->stages[i].kind == STAGE_GRPO;
    }
    r->preset = config_str(c, "learner", "preset");
    if (strcmp(r->preset, "none") != 0 && !learns)
        return bad(e, config_value(c, "learner", "preset"), "there is no stage of kind = grpo");
    return 0;
}

static void make_live(const struct config *c, struct recipe *r)
{
    r->learner_threads = (unsigned)config_int(c, "learner", "threads");
    r->learner_shards = (unsigned)config_int(c, "learner", "shards");
    r->micro_batch_tokens = (uint32_t)config_int(c, "learner", "micro-batch-tokens");
    r->recompute = config_bool(c, "learner", "recompute");
    r->checkpoint_every = (uint32_t)config_int(c, "learner", "checkpoint-every");
    r->keep_checkpoints = (uint32_t)config_int(c, "learner", "keep-checkpoints");
    r->keep_all_samples = choice_is(c, "learner", "keep-samples", "all");
    r->segment_kib = (uint32_t)config_int(c, "learner", "segment-kib");
    r->lease_ms = (uint32_t)config_int(c, "learner", "lease-ms");
    r->isa = config_str(c, "engine", "isa");
    r->actors = (unsigned)config_int(c, "actor", "count");
    r->actor_threads = (unsigned)config_int(c, "actor", "threads");
    r->actor_slots = (unsigned)config_int(c, "actor", "slots");
    r->actor_batch = (unsigned)config_int(c, "actor", "batch");
    r->actor_kv_mib = (uint32_t)config_int(c, "actor", "kv-mib");
    r->reward_servers = (unsigned)config_int(c, "reward-server", "count");
    r->reward_threads = (unsigned)config_int(c, "reward-server", "threads");
    r->reward_slots = (unsigned)config_int(c, "reward-server", "slots");
    r->net_receive_mib = (uint32_t)config_int(c, "net", "receive-mib");
    r->net_dir = config_str(c, "net", "dir");
}

int recipe_check(struct config *c, struct err *e)
{
    preset_apply(c);
    return config_check(c, e);
}

int recipe_read(
    struct config *c, const char *path, const char *const *sets, size_t set_count, struct err *e)
{
    if (path != NULL && config_read_file(c, path, e) < 0)
        return e->code;
    for (size_t i = 0; i < set_count; i++)
        if (config_set(c, sets[i], e) < 0)
            return e->code;
    return recipe_check(c, e);
}

int recipe_make(const struct config *c, struct recipe *ret, struct err *e)
{
    struct recipe r = {
        .name = config_str(c, "run", "name"), .seed = (uint64_t)config_int(c, "run", "seed")};
    if (make_model(c, &r, e) < 0 || make_rewards(c, &r, e) < 0 || make_data(c, &r, e) < 0 ||
        make_stages(c, &r, e) < 0) {
        recipe_done(&r);
        return e->code;
    }
    make_live(c, &r);
    *ret = r;
    return 0;
}

void recipe_done(struct recipe *r)
{
    for (size_t i = 0; i < r->reward_count; i++)
        free((char *)r->rewards[i].spec.params_json); /* made by reward_params */
    *r = (struct recipe){0};
}
