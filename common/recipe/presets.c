/* presets.c: see presets.h. */
#include "common/recipe/presets.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 16 };

static const struct {
    bool stage; /* of each grpo stage; else of [sampling] */
    const char *key;
} columns[COLUMNS] = {
    {true, "advantage"},
    {true, "normalise"},
    {true, "objective"},
    {true, "ratio"},
    {true, "clip-low"},
    {true, "clip-high"},
    {true, "kl-coef"},
    {true, "kl"},
    {true, "kl-in"},
    {true, "tied"},
    {true, "reference-every"},
    {true, "groups"},
    {true, "minibatches"},
    {true, "lr"},
    {false, "group"},
    {false, "temperature"},
};

/* In the order of columns; NULL: the method does not say.
 *
 * r1-zero: Guo et al., Nature 2025: eps 10 is R1's, R1-Zero's is not stated; 32 questions x 16 per
 *     update, 16 updates per round.
 * dapo: Yu et al., arXiv 2503.14476. dr-grpo: Liu et al., arXiv 2503.20783; no std, a constant
 *     denominator, so tied groups count in it. gspo: Zheng et al., arXiv 2507.18071.
 * cispo: MiniMax, arXiv 2506.13585, cap 5 as in ScaleRL, arXiv 2510.13786: no lower bound.
 * rloo: Ahmadian et al., arXiv 2402.14740: a completion is one action, so its tokens' sum counts.
 * reinforce++: Hu, arXiv 2501.03262. Of both the KL's coefficient is a common default; the papers
 *     vary it. */
/* clang-format off */
static const struct {
    const char *name, *values[COLUMNS];
} presets[] = {
    {"r1-zero", {"std", "sequence", "clip", "token", "10", "10", "0.001", "k3", "loss", "keep",
        "400", "512", "16", "3e-6", "16", "1"}},
    {"dapo", {"std", "token", "clip", "token", "0.2", "0.28", "0", "k3", "loss", "skip"}},
    {"dr-grpo", {"mean", "fixed", "clip", "token", "0.2", "0.2", "0", "k3", "loss", "keep"}},
    {"gspo", {"std", "sequence", "clip", "sequence", "3e-4", "4e-4", "0", "k3", "loss", "skip"}},
    {"cispo", {"std", "token", "cispo", "token", "10", "4", "0", "k3", "loss", "skip"}},
    {"rloo", {"loo", "fixed", "clip", "token", "0.2", "0.2", "0.05", "k1", "reward", "keep"}},
    {"reinforce++",
        {"batch", "token", "clip", "token", "0.2", "0.2", "0.01", "k1", "reward", "keep"}},
};
/* clang-format on */

static void suggest(struct config *c, bool stage, const char *section, size_t preset)
{
    CLEANUP_FREE char *origin = mem_printf("preset %s", presets[preset].name);
    for (size_t i = 0; i < COLUMNS; i++) {
        const char *value = presets[preset].values[i];
        if (columns[i].stage == stage && value != NULL)
            config_suggest(c, section, columns[i].key, value, origin);
    }
}

void preset_apply(struct config *c)
{
    const char *name = config_given(c, "learner", "preset");
    size_t preset = 0;
    while (preset < ARRAY_LEN(presets) && (name == NULL || strcmp(name, presets[preset].name) != 0))
        preset++;
    if (preset == ARRAY_LEN(presets))
        return;
    suggest(c, false, "sampling", preset);
    const char *names[CONFIG_SECTIONS_MAX];
    size_t n = config_named(c, "stage", names, ARRAY_LEN(names));
    for (size_t i = 0; i < n; i++) {
        CLEANUP_FREE char *section = mem_printf("stage %s", names[i]);
        const char *kind = config_given(c, section, "kind");
        if (kind != NULL && strcmp(kind, "grpo") == 0)
            suggest(c, true, section, preset);
    }
}

static bool has_scorer(const struct recipe *r, const char *kind)
{
    for (size_t i = 0; i < r->reward_count; i++) {
        if (strcmp(r->rewards[i].spec.kind, kind) == 0)
            return true;
    }
    return false;
}

size_t preset_notes(const struct recipe *r, const char *ret[PRESET_NOTES_MAX])
{
    size_t n = 0;
    if (strcmp(r->preset, "dapo") == 0) {
        ret[n++] = "without dynamic sampling: tied groups are left out of a step and none are "
                   "sampled in their place";
        if (!has_scorer(r, "length"))
            ret[n++] = "without soft overlong punishment: no [reward NAME] has scorer = length";
    } else if (strcmp(r->preset, "reinforce++") == 0) {
        ret[n++] = "the KL of a whole completion is taken from its reward, not each token's from "
                   "what follows it";
    }
    return n;
}
