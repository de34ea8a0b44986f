/* learning_fixture.c: recipe, model, directory, groups. */
#include "tests/learner/learning_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/rng.h"

const char small_recipe[] =
    "[run]\nname = small\nseed = 3\n"
    "[model]\nhidden = 16\nlayers = 2\nheads = 2\nffn = 32\ncontext = 64\n"
    "rope-theta = 100\n"
    "[sampling]\nmax-tokens = 16\ngroup = 4\n"
    "[learner]\nthreads = 1\nmicro-batch-tokens = 128\ncheckpoint-every = 4\n"
    "[reward accuracy]\nscorer = math\ntag = answer\nprimary = yes\n"
    "[reward format]\nscorer = format\nweight = 0.3\nwell-formed = yes\n"
    "[data demos]\ngenerator = modsum\nrows = demos\nsplit = train\ncount = 200\n"
    "digits = 3\n"
    "[data tasks]\ngenerator = modsum\nsplit = train\ncount = 64\ndigits = 3\n"
    "[data heldout]\ngenerator = modsum\nsplit = heldout\ncount = 16\ndigits = 3\n"
    "[stage base]\nkind = pretrain\ndata = demos\nsteps = 6\nbatch = 16\nlr = 4e-3\n"
    "eval-data = heldout\neval-tasks = 4\neval-samples = 2\neval-every = 3\n"
    "[stage zero]\nkind = grpo\ndata = tasks\nsteps = 5\ngroups = 4\nlr = 1e-3\n"
    "minibatches = 2\nadvantage = mean\npreflight = off\neval-data = heldout\neval-tasks = 4\n"
    "eval-samples = 2\neval-every = 2\neval-before = yes\n";

void fixture_open(struct fixture *f, const char *const *sets)
{
    struct err err = {0};
    *f = (struct fixture){.dir = "/tmp/cohort-learning-XXXXXX"};
    assert_non_null(mkdtemp(f->dir));
    f->config = config_new(recipe_options);
    assert_ok(config_read_text(f->config, "small", small_recipe, strlen(small_recipe), &err));
    for (; sets != NULL && *sets != NULL; sets++)
        assert_ok(config_set(f->config, *sets, &err));
    assert_ok(recipe_check(f->config, &err));
    assert_ok(recipe_make(f->config, &f->recipe, &err));
    assert_ok(recipe_model_open(&f->recipe, &f->model, &err));
}

void fixture_close(struct fixture *f)
{
    struct err err = {0};
    recipe_model_done(&f->model);
    recipe_done(&f->recipe);
    config_free(f->config);
    assert_ok(file_remove_tree(f->dir, &err));
}

struct trainer *fixture_trainer(
    const struct fixture *f, unsigned threads, unsigned shards, uint32_t rows_max)
{
    struct err err = {0};
    struct trainer *t;
    struct trainer_options o = {.isa = "auto",
        .threads = threads,
        .shards = shards,
        .rows_max = rows_max,
        .vocab = tokenizer_size(f->model.tokenizer)};
    assert_ok(trainer_new(&o, &f->model.params, &t, &err));
    return t;
}

void stored_open(struct stored_set *s, size_t groups, size_t rewards)
{
    *s = (struct stored_set){.set = {.count = groups, .arena = arena_new(0)}, .rewards = rewards};
    s->set.groups = arena_alloc(s->set.arena, groups * sizeof(*s->set.groups));
}

void stored_done(struct stored_set *s)
{
    arena_free(s->set.arena);
}

static uint32_t *random_ids(struct arena *a, struct rng *r, uint32_t n, uint32_t vocab)
{
    uint32_t *ids = arena_alloc(a, n * sizeof(*ids));
    for (uint32_t i = 0; i < n; i++)
        ids[i] = (uint32_t)rng_below(r, vocab);
    return ids;
}

void stored_group_random(struct stored_set *s, size_t at, uint64_t seed, uint32_t prompt_len,
    uint32_t n, uint32_t len_max, uint32_t vocab)
{
    struct arena *a = s->set.arena;
    struct rng r = rng_stream((struct rng_key){.seed = seed, .domain = RNG_USER, .ordinal = at});
    struct stored_group *g = &s->set.groups[at];
    *g = (struct stored_group){
        .id = at + 1, .slot = (uint32_t)at, .n = n, .prompt_len = prompt_len, .ordinal = at};
    g->prompt = random_ids(a, &r, prompt_len, vocab);
    g->completions = arena_alloc(a, n * sizeof(*g->completions));
    for (uint32_t i = 0; i < n; i++) {
        struct stored_completion *c = &g->completions[i];
        double *component = arena_alloc(a, s->rewards * sizeof(*component));
        float *logp = arena_alloc(a, len_max * sizeof(*logp));
        c->len = 1 + (uint32_t)rng_below(&r, len_max);
        c->tokens = random_ids(a, &r, c->len, vocab);
        for (uint32_t t = 0; t < c->len; t++)
            logp[t] = (float)(-3 * rng_next_uniform(&r));
        c->logp = logp;
        c->component = component;
        c->scored = true;
        c->verdict = VERDICT_WRONG;
    }
}
