/* config_print.c: the effective configuration as a file, the sample file, and the comparison that a
 * resume makes. All through the public functions of config.h. */
#include "common/base/config.h"

#include "common/base/option.h"

void config_print(const struct config *c, struct buf *out, bool with_origin)
{
    const char *section = NULL;
    for (size_t i = 0; i < config_count(c); i++) {
        const struct config_value *v = config_at(c, i);
        if (section == NULL || strcmp(section, v->section) != 0)
            buf_printf(out, "%s[%s]\n", section != NULL ? "\n" : "", v->section);
        section = v->section;
        if (with_origin)
            buf_printf(out, "# from %s\n", v->origin);
        buf_printf(out, "%s =%s%s\n", v->key, *v->text != '\0' ? " " : "", v->text);
    }
}

static const char *class_text(enum option_class class)
{
    switch (class) {
    case OPT_IDENTITY:
        return "fixed for the life of a run";
    case OPT_EXTEND:
        return "may grow on resume";
    case OPT_LIVE:
        break;
    }
    return "may change on resume";
}

void config_print_table(const struct config_option *table, struct buf *out)
{
    const char *section = NULL;
    for (const struct config_option *o = table; o->section != NULL; o++) {
        if (section == NULL || strcmp(section, o->section) != 0) {
            size_t kind_len = strcspn(o->section, "*");
            buf_printf(out, "%s[%.*s%s]\n", section != NULL ? "\n" : "", (int)kind_len, o->section,
                o->section[kind_len] == '*' ? "name" : "");
        }
        section = o->section;
        buf_printf(out, "# %s\n# (", o->help);
        option_describe(o, out);
        buf_printf(out, "; %s%s)\n", class_text(o->class), o->def == NULL ? "; required" : "");
        const char *def = o->def != NULL ? o->def : "";
        buf_printf(out, "#%s =%s%s\n", o->key, *def != '\0' ? " " : "", def);
    }
}

/* Whether two texts of one option mean the same: "8K" is "8192". */
static bool same_meaning(const struct config_value *a, const struct config_value *b)
{
    const struct config_option *o = a->option;
    if (strcmp(a->text, b->text) == 0)
        return true;
    struct option_value x, y;
    if (option_parse(o, a->text, &x, NULL) != 0 || option_parse(o, b->text, &y, NULL) != 0)
        return false;
    switch (o->type) {
    case OPT_BOOL:
        return x.yes == y.yes;
    case OPT_INT:
        return x.number == y.number;
    case OPT_FLOAT:
        return x.low == y.low;
    case OPT_RANGE:
        return x.yes == y.yes && x.low == y.low && x.high == y.high;
    case OPT_STRING:
    case OPT_CHOICE:
        break;
    }
    return false;
}

/* The first place where two lists of names differ, -1 when nowhere. */
static int first_difference(const char **a, size_t a_count, const char **b, size_t b_count)
{
    for (size_t i = 0; i < a_count && i < b_count; i++) {
        if (strcmp(a[i], b[i]) != 0)
            return (int)i;
    }
    return a_count == b_count ? -1 : (int)(a_count < b_count ? a_count : b_count);
}

/* Named sections with identity options are identity as a list too: which there are, in which order.
 */
static int compare_sections(const struct config *stored, const struct config *now, struct err *e)
{
    for (const struct config_option *o = config_table(now); o->section != NULL; o++) {
        size_t kind_len = strcspn(o->section, " *");
        if (o->section[kind_len] == '\0' || o->class != OPT_IDENTITY)
            continue;
        const char *was[CONFIG_SECTIONS_MAX], *is[CONFIG_SECTIONS_MAX];
        CLEANUP_FREE char *kind = mem_strndup(o->section, kind_len);
        size_t was_count = config_named(stored, kind, was, ARRAY_LEN(was));
        size_t is_count = config_named(now, kind, is, ARRAY_LEN(is));
        int i = first_difference(was, was_count, is, is_count);
        if (i < 0)
            continue;
        return err_set(e, ERR_CONFIG,
            "%s %d of the run was '%s' when it started and is '%s' now: sections [%s NAME] may "
            "not be added, removed or moved",
            kind, i + 1, (size_t)i < was_count ? was[i] : "(none)",
            (size_t)i < is_count ? is[i] : "(none)", kind);
    }
    return 0;
}

struct comparison {
    const struct config *stored, *now;
    void (*changed)(void *arg, const struct config_value *was, const struct config_value *is);
    void *arg;
};

static int compare_identity(const struct comparison *x, struct err *e)
{
    for (size_t i = 0; i < config_count(x->stored); i++) {
        const struct config_value *was = config_at(x->stored, i);
        const struct config_value *is = config_value(x->now, was->section, was->key);
        if (was->option->class == OPT_IDENTITY && !same_meaning(was, is))
            return err_set(e, ERR_CONFIG,
                "'%s' of section [%s] was '%.200s' (%.150s) when the run started and is '%.200s' "
                "(%.150s) now: it may not change",
                was->key, was->section, was->text, was->origin, is->text, is->origin);
    }
    return 0;
}

static void tell_changes(const struct comparison *x)
{
    for (size_t i = 0; i < config_count(x->stored); i++) {
        const struct config_value *was = config_at(x->stored, i);
        const struct config_value *is = config_value(x->now, was->section, was->key);
        if (!same_meaning(was, is))
            x->changed(x->arg, was, is);
    }
    for (size_t i = 0; i < config_count(x->now); i++) {
        const struct config_value *is = config_at(x->now, i);
        const struct config_value *was = config_value(x->stored, is->section, is->key);
        bool added = strcmp(was->section, is->section) != 0; /* the answer is its kind's default */
        if (added && !same_meaning(was, is))
            x->changed(x->arg, was, is);
    }
}

int config_compare(const struct config *stored, const struct config *now,
    void (*changed)(void *arg, const struct config_value *was, const struct config_value *is),
    void *arg, struct err *e)
{
    struct comparison x = {.stored = stored, .now = now, .changed = changed, .arg = arg};
    int r = compare_sections(stored, now, e);
    if (r == 0)
        r = compare_identity(&x, e);
    if (r != 0)
        return r;
    tell_changes(&x); /* only now: nobody hears of changes that will not happen */
    return 0;
}
