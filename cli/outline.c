/* outline.c: the start-up summary of a run. */
#include "cli/outline.h"

#include <string.h>

#include "cli/figures.h"
#include "common/recipe/presets.h"
#include "common/recipe/recipe_files.h"

int outline_model(const struct recipe *r, struct model_config *ret, struct err *e)
{
    if (r->model_path[0])
        return model_dir_config(r->model_path, ret, e);
    struct recipe_model m; /* its vocabulary follows from its tokenizer */
    if (recipe_model_open(r, &m, e) < 0)
        return e->code;
    *ret = m.table->config;
    recipe_model_done(&m);
    return 0;
}

static unsigned evaluations(const struct recipe_stage *s)
{
    unsigned inner = s->eval.every > 0 && s->steps > 0 ? (s->steps - 1) / s->eval.every : 0;
    return 1 + inner + s->eval.before;
}

static void print_eval(const struct recipe *r, const struct recipe_stage *s, FILE *out)
{
    if (s->eval.data < 0)
        return;
    unsigned n = evaluations(s);
    fprintf(out,
        "%-20s%u evaluation%s: %u tasks of '%s' x (%u sampled + 1 greedy) = %llu completions%s\n",
        "", n, n == 1 ? "" : "s", s->eval.tasks, r->data[s->eval.data].name, s->eval.samples,
        (unsigned long long)s->eval.tasks * (s->eval.samples + 1), n == 1 ? "" : " each");
}

static void print_gate(const struct recipe_gate *g, FILE *out)
{
    if (!g->has_sampled && !g->has_greedy && !g->has_format)
        return;
    fprintf(out, "%-20sgoes on only if", "");
    if (g->has_sampled)
        fprintf(out, "  sampled pass rate %g..%g", g->sampled_low, g->sampled_high);
    if (g->has_greedy)
        fprintf(out, "  greedy %g..%g", g->greedy_low, g->greedy_high);
    if (g->has_format)
        fprintf(out, "  well-formed %g..%g", g->format_low, g->format_high);
    fputc('\n', out);
}

static void print_stage(const struct recipe *r, const struct recipe_stage *s, FILE *out)
{
    char a[FIGURE_MAX], b[FIGURE_MAX];
    if (s->kind == STAGE_PRETRAIN) {
        fprintf(out, "  %-9s%-9s%u steps x %u demonstrations of '%s' = %s, %u updates\n", s->name,
            "pretrain", s->steps, s->batch, r->data[s->data].name,
            figure_count(a, (double)s->steps * s->batch), s->steps);
    } else {
        double completions = (double)s->steps * s->groups * s->group_size;
        fprintf(out,
            "  %-9s%-9s%u steps x %u tasks of '%s' x %u completions = %s completions, %llu "
            "update%s\n",
            s->name, "grpo", s->steps, s->groups, r->data[s->data].name, s->group_size,
            figure_count(a, completions), (unsigned long long)s->steps * s->minibatches,
            (unsigned long long)s->steps * s->minibatches == 1 ? "" : "s");
        fprintf(out, "%-20sat most %u tokens each, %s in all; lag %u\n", "", s->max_tokens,
            figure_count(b, completions * s->max_tokens), s->lag);
    }
    print_eval(r, s, out);
    print_gate(&s->gate, out);
}

/* Bytes the learner needs for numbers of the model's size: parameters, two moments, gradients of
 * each shard, a reference when there is a KL; and beside the trainer the initial parameters and
 * room to read a version. */
static double learner_bytes(const struct recipe *r, double parameters)
{
    double copies = 3 + r->learner_shards + 1;
    for (size_t i = 0; i < r->stage_count; i++) {
        if (r->stages[i].kind == STAGE_GRPO && r->stages[i].loss.kl_coef != 0) {
            copies += 1;
            break;
        }
    }
    return copies * parameters * sizeof(float);
}

static void print_memory(const struct recipe *r, const struct model_config *model, FILE *out)
{
    char a[FIGURE_MAX], b[FIGURE_MAX], c[FIGURE_MAX];
    double parameters = (double)model_config_parameters(model);
    double token = 2.0 * model->layers * model->kv_heads * model->head_dim * sizeof(float);
    double cache = (double)r->actor_kv_mib * 1024 * 1024;
    /* Two verified versions, and the packed form of one. */
    fprintf(out,
        "  memory, about: learner %s and activations; each actor %s and at most %s of cache (%s "
        "tokens)\n",
        figure_bytes(a, learner_bytes(r, parameters)),
        figure_bytes(b, 3 * parameters * sizeof(float)), figure_bytes(c, cache),
        figure_count((char[FIGURE_MAX]){0}, token > 0 ? cache / token : 0));
}

/* " + 0.3 x short (length, on pass)" */
static void print_reward(const struct recipe_reward *w, bool more, FILE *out)
{
    fprintf(out, "%s %g x %s (%s", more ? " +" : "", w->term.weight, w->spec.name, w->spec.kind);
    if (w->term.when != REWARD_ALWAYS)
        fprintf(out, ", on %s", reward_when_name(w->term.when));
    fputs(")", out);
}

static void print_preset(const struct recipe *r, FILE *out)
{
    const char *notes[PRESET_NOTES_MAX];
    size_t n = preset_notes(r, notes);
    if (strcmp(r->preset, "none") == 0)
        return;
    fprintf(out, "  preset %s (cohort run CONF --print-config shows its values)\n", r->preset);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%-20s%s\n", "", notes[i]);
}

static void print_rewards(const struct recipe *r, FILE *out)
{
    if (r->reward_count == 0)
        return;
    fputs("  reward =", out);
    for (size_t i = 0; i < r->reward_count; i++)
        print_reward(&r->rewards[i], i > 0, out);
    fputc('\n', out);
}

void outline_print(
    const struct recipe *r, const struct model_config *model, const char *run_dir, FILE *out)
{
    char count[FIGURE_MAX];
    fprintf(out, "%s (seed %llu) in %s\n", r->name, (unsigned long long)r->seed, run_dir);
    fprintf(out, "  model: %s, %s parameters, %u layers, %u channels, context %u%s%s\n",
        model->type, figure_count(count, (double)model_config_parameters(model)), model->layers,
        model->hidden, model->context, r->model_path[0] ? ", from " : ", random", r->model_path);
    print_rewards(r, out);
    print_preset(r, out);
    for (size_t i = 0; i < r->stage_count; i++)
        print_stage(r, &r->stages[i], out);
    print_memory(r, model, out);
    fprintf(out, "  processes: 1 learner (%u threads), %u actor%s, %u reward server%s\n",
        r->learner_threads, r->actors, r->actors == 1 ? "" : "s", r->reward_servers,
        r->reward_servers == 1 ? "" : "s");
}
