/* judge.c: see judge.h. */
#include "cli/judge.h"

#include <stdlib.h>
#include <string.h>

#include "reward-server/box/box.h"
#include "reward-server/scoring/math/pool.h"

enum { DEFAULT_PANELS_MAX = 16 };

struct judge_entry {
    struct panel *panel;       /* owned */
    char kind[LIMIT_NAME + 1]; /* of a default one */
};

struct judge {
    struct judge_entry panels[DEFAULT_PANELS_MAX]; /* one when scorers were given */
    size_t panel_count;
    uint8_t *panel_of_row; /* owned; index into panels; NULL: always the first */
    bool counts_tokens;
    struct box *box;           /* owned; NULL when no program is to run */
    struct math_pool *workers; /* owned; NULL when no mathematics is graded */
};

/* What kinds of scorers work with: boxes for programs, processes for mathematics. */
static int need(struct judge *j, const struct panel *p, struct err *e)
{
    int r = 0;
    if (panel_runs_programs(p) && j->box == NULL) {
        r = box_open(NULL, &j->box, e);
        scoring_use_box(j->box);
    }
    if (r == 0 && panel_has(p, "math") && j->workers == NULL) {
        r = math_pool_open(NULL, MATH_POOL_DEADLINE_MS, &j->workers, e);
        scoring_use_math(j->workers);
    }
    return r;
}

static int add_panel(struct judge *j, const char *const *words, size_t count, struct err *e)
{
    struct panel *p = NULL;
    if (j->panel_count == DEFAULT_PANELS_MAX)
        return err_set(e, ERR_USAGE, "rows name more than %d scorers", DEFAULT_PANELS_MAX);
    if (panel_open(words, count, &p, e) < 0)
        return e->code;
    j->panels[j->panel_count++].panel = p;
    j->counts_tokens |= panel_has(p, "length");
    return need(j, p, e);
}

static int default_of_row(
    struct judge *j, const char *format, const struct dataset_row *row, uint8_t *ret, struct err *e)
{
    char kind[LIMIT_NAME + 1];
    const char *const words[] = {kind};
    if (panel_row_kind(format, row, kind, e) < 0)
        return e->code;
    size_t i = 0;
    while (i < j->panel_count && strcmp(j->panels[i].kind, kind) != 0)
        i++;
    if (i == j->panel_count && add_panel(j, words, 1, e) < 0)
        return err_ctx(e, "row '%s'", row->key);
    memcpy(j->panels[i].kind, kind, sizeof(kind));
    *ret = (uint8_t)i;
    return 0;
}

static int open_defaults(struct judge *j, const struct dataset *d, struct err *e)
{
    size_t rows = dataset_count(d);
    j->panel_of_row = mem_array(rows, sizeof(*j->panel_of_row));
    for (size_t i = 0; i < rows; i++)
        if (default_of_row(j, dataset_format(d), dataset_row(d, i), &j->panel_of_row[i], e) < 0)
            return e->code;
    return 0;
}

/* ---- a judge ---- */

int judge_dataset(const char *path, const char *format, struct dataset **ret, struct err *e)
{
    int r = dataset_load(path, format, SPLIT_ALL, 0, ret, e);
    if (r == ERR_CONFIG)
        r = e->code = ERR_USAGE;
    return r;
}

int judge_open(
    const struct dataset *d, const struct args_words *scorers, struct judge **ret, struct err *e)
{
    struct judge *j = mem_alloc(sizeof(*j));
    int r = scorers->count > 0 ? add_panel(j, scorers->items, scorers->count, e)
                               : open_defaults(j, d, e);
    if (r < 0) {
        judge_close(j);
        return r;
    }
    *ret = j;
    return 0;
}

void judge_close(struct judge *j)
{
    if (j == NULL)
        return;
    for (size_t i = 0; i < j->panel_count; i++)
        panel_close(j->panels[i].panel);
    scoring_use_box(NULL);
    scoring_use_math(NULL);
    box_close(j->box);
    math_pool_close(j->workers);
    free(j->panel_of_row);
    free(j);
}

const struct panel *judge_panel(const struct judge *j, size_t row)
{
    return j->panels[j->panel_of_row != NULL ? j->panel_of_row[row] : 0].panel;
}

bool judge_counts_tokens(const struct judge *j)
{
    return j->counts_tokens;
}
