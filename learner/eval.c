/* eval.c: held-out tasks: plan, figures, gate. */
#include "learner/eval.h"

#include <math.h>
#include <stdlib.h>

#include "learner/plan.h"

bool eval_due(const struct recipe_stage *st, uint32_t done)
{
    if (st->eval.data < 0)
        return false;
    if (done == 0)
        return st->eval.before;
    return done == st->steps || (st->eval.every > 0 && done % st->eval.every == 0);
}

static uint32_t task_count(const struct recipe_stage *st, const struct corpus *tasks)
{
    return st->eval.tasks < corpus_count(tasks) ? st->eval.tasks : (uint32_t)corpus_count(tasks);
}

struct plan_item *eval_plan(const struct recipe *r, uint32_t stage, uint32_t done,
    const struct corpus *tasks, uint64_t version, size_t *ret_count)
{
    const struct recipe_stage *st = &r->stages[stage];
    uint32_t count = task_count(st, tasks);
    struct plan_item *items = mem_array((size_t)count * 2, sizeof(*items));
    for (uint32_t i = 0; i < 2 * count; i++) {
        uint32_t slot = i % count;
        bool greedy = i >= count;
        struct plan_item *p = &items[i];
        *p = (struct plan_item){.purpose = PURPOSE_EVAL,
            .mode = greedy ? MODE_GREEDY : MODE_SAMPLED,
            .stage = stage,
            .step = done,
            .slot = slot,
            .data = r->data[st->eval.data].name,
            .row = slot,
            .task = corpus_row(tasks, slot),
            .ordinal = plan_eval_ordinal((uint32_t)st->eval.data, slot),
            .version = version,
            .n = greedy ? 1 : st->eval.samples,
            .max_tokens = st->max_tokens,
            .temperature = greedy ? 0 : st->temperature,
            .weights_type = WEIGHTS_F32}; /* what is kept is judged, not its rounded form */
        p->prompt = corpus_prompt(tasks, slot, &p->prompt_len);
    }
    *ret_count = (size_t)count * 2;
    return items;
}

int eval_collect(struct service *s, const struct recipe *r, uint32_t stage, const uint64_t *ids,
    size_t count, double seconds, struct metric_list *l, struct err *e)
{
    struct stored_groups *sampled = NULL, *greedy = NULL;
    int rc = service_read_groups(s, ids, count / 2, &sampled, e);
    if (rc == 0)
        rc = service_read_groups(s, ids + count / 2, count - count / 2, &greedy, e);
    if (rc == 0)
        metrics_of_eval(l, r, sampled, greedy, r->stages[stage].eval.samples, seconds);
    stored_groups_free(sampled);
    stored_groups_free(greedy);
    return rc;
}

struct gate_rule {
    const char *metric, *option;
    bool set;
    double low, high;
    const char *below, *above; /* what it means */
};

int eval_gate(const struct recipe_stage *st, const struct metric_list *l, struct err *e)
{
    const struct recipe_gate *g = &st->gate;
    const struct gate_rule rules[] = {
        {"eval/pass@1", "gate-sampled", g->has_sampled, g->sampled_low, g->sampled_high,
            "too few samples are right for reinforcement to find anything to reinforce",
            "most samples are right already, there is little left to learn"},
        {"eval/greedy", "gate-greedy", g->has_greedy, g->greedy_low, g->greedy_high,
            "the model's first choice is right too rarely",
            "the model's first choice is right already, reinforcement could not show anything"},
        {"eval/format", "gate-format", g->has_format, g->format_low, g->format_high,
            "too few answers are well-formed, so that almost none could be rewarded",
            "most answers are well-formed already"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct gate_rule *r = &rules[i];
        double v = metric_value(l, r->metric);
        if (!r->set || (v >= r->low && v <= r->high))
            continue;
        if (isnan(v))
            return err_set(e, ERR_FAIL,
                "gate of stage '%s': there is no %s to check %s = %g..%g against", st->name,
                r->metric, r->option, r->low, r->high);
        return err_set(e, ERR_FAIL, "gate of stage '%s': %s is %.3f, %s allows %g..%g: %s",
            st->name, r->metric, v, r->option, r->low, r->high, v < r->low ? r->below : r->above);
    }
    return 0;
}
