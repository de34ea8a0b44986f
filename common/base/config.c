/* config.c: reads INI text into sections and values, completes them from the option table, answers.
 */
#include "common/base/config.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/option.h"
#include "proto/limits.h"

struct section {
    char *name;       /* owned; "stage zero", one space */
    const char *kind; /* borrowed from the table; "stage *", or equal to name */
};

struct entry {
    struct config_value value; /* text and origin owned; section and key borrowed */
    struct option_value parsed;
};

struct entries {
    struct entry *items; /* owned */
    size_t count, cap;
};

struct config {
    const struct config_option *table; /* borrowed */
    struct section *sections;          /* owned */
    size_t section_count;
    struct entries values; /* after config_check: section by section, in the order of the table */
    struct entries kinds;  /* the defaults of each "kind *", for sections that do not exist */
    bool checked;
};

/* Where a value is being read: the prefix of messages and the source of origins. */
struct place {
    const char *name; /* file, or "--set" */
    unsigned line;    /* 0: no lines there */
};

struct config *config_new(const struct config_option *table)
{
    struct config *c = mem_alloc(sizeof(*c));
    c->table = table;
    return c;
}

static void entries_done(struct entries *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free((char *)list->items[i].value.text);
        free((char *)list->items[i].value.origin);
    }
    free(list->items);
    *list = (struct entries){0};
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    entries_done(&c->values);
    entries_done(&c->kinds);
    for (size_t i = 0; i < c->section_count; i++)
        free(c->sections[i].name);
    free(c->sections);
    free(c);
}

static struct entry *entries_push(struct entries *list, struct config_value value)
{
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? 2 * list->cap : 32;
        list->items = mem_grow(list->items, list->cap, sizeof(list->items[0]));
    }
    struct entry *entry = &list->items[list->count++];
    *entry = (struct entry){.value = value};
    return entry;
}

static struct entry *entries_find(
    const struct entries *list, const char *section, const struct config_option *o)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct config_value *v = &list->items[i].value;
        if (v->option == o && strcmp(v->section, section) == 0)
            return &list->items[i];
    }
    return NULL;
}

static bool is_named_kind(const char *kind)
{
    size_t n = strlen(kind);
    return n > 2 && strcmp(kind + n - 2, " *") == 0;
}

/* Whether the section is of this kind: equal, or "stage zero" of "stage *". */
static bool kind_matches(const char *kind, const char *section)
{
    if (!is_named_kind(kind))
        return strcmp(kind, section) == 0;
    size_t n = strlen(kind) - 1;
    return strncmp(kind, section, n) == 0 && section[n] != '\0';
}

static const struct config_option *option_find(
    const struct config_option *table, const char *section, const char *key)
{
    for (const struct config_option *o = table; o->section != NULL; o++) {
        if (strcmp(o->key, key) == 0 && kind_matches(o->section, section))
            return o;
    }
    return NULL;
}

static const char *kind_find(const struct config_option *table, const char *section)
{
    for (const struct config_option *o = table; o->section != NULL; o++) {
        if (kind_matches(o->section, section))
            return o->section;
    }
    return NULL;
}

/* "FILE:LINE" or "--set"; owned by the caller. */
static char *place_text(struct place at)
{
    return at.line > 0 ? mem_printf("%s:%u", at.name, at.line) : mem_strdup(at.name);
}

/* ERR_CONFIG with the place before the message. */
__attribute__((format(printf, 3, 4))) static int refuse(
    struct err *e, struct place at, const char *fmt, ...)
{
    CLEANUP_FREE char *where = place_text(at);
    char what[700];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return err_set(e, ERR_CONFIG, "%s: %s", where, what);
}

/* Display text of at most 100 bytes of s; owned by b. */
static const char *show(struct buf *b, const char *s, size_t n)
{
    text_escape(b, s, n < 100 ? n : 100);
    return (const char *)b->data;
}

/* The table's section that is most like this one, as people write it: "[stage NAME]". */
static void nearest_section(const struct config_option *table, const char *section, struct buf *out)
{
    unsigned best = UINT32_MAX;
    buf_puts(out, "none");
    for (const struct config_option *o = table; o->section != NULL; o++) {
        bool named = is_named_kind(o->section);
        int kind_len = (int)(strlen(o->section) - (named ? 2 : 0));
        const char *name = strchr(section, ' ');
        CLEANUP_FREE char *like =
            mem_printf("%.*s%s", kind_len, o->section, named && name != NULL ? name : "");
        unsigned distance = option_name_distance(section, like) + (named && name == NULL);
        if (distance >= best)
            continue;
        best = distance;
        buf_clear(out);
        buf_printf(out, "[%.*s%s]", kind_len, o->section, named ? " NAME" : "");
    }
}

static const char *nearest_key(
    const struct config_option *table, const char *section, const char *key)
{
    const char *found = "";
    unsigned best = UINT32_MAX;
    for (const struct config_option *o = table; o->section != NULL; o++) {
        unsigned distance = option_name_distance(key, o->key);
        if (distance < best && kind_matches(o->section, section)) {
            best = distance;
            found = o->key;
        }
    }
    return found;
}

static const char *section_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->section_count; i++) {
        if (strcmp(c->sections[i].name, name) == 0)
            return c->sections[i].name;
    }
    return NULL;
}

/* The section's own copy of its name. */
static const char *section_add(struct config *c, const char *name, const char *kind)
{
    const char *known = section_find(c, name);
    if (known != NULL)
        return known;
    c->sections = mem_grow(c->sections, c->section_count + 1, sizeof(c->sections[0]));
    struct section *s = &c->sections[c->section_count++];
    *s = (struct section){.name = mem_strdup(name), .kind = kind};
    return s->name;
}

/* One or two names with blanks between, as "kind" or "kind name"; false when it is neither. */
static bool section_name(const char *s, size_t n, char ret[2 * OPTION_NAME_MAX + 2])
{
    size_t first = 0, gap = 0;
    while (first < n && s[first] != ' ' && s[first] != '\t')
        first++;
    while (first + gap < n && (s[first + gap] == ' ' || s[first + gap] == '\t'))
        gap++;
    size_t second = n - first - gap;
    if (!option_name_valid(s, first) || (gap > 0 && !option_name_valid(s + first + gap, second)))
        return false;
    memcpy(ret, s, first);
    ret[first] = '\0';
    if (gap > 0) {
        ret[first] = ' ';
        memcpy(ret + first + 1, s + first + gap, second);
        ret[first + 1 + second] = '\0';
    }
    return true;
}

static int unknown_section(const struct config *c, const char *name, struct place at, struct err *e)
{
    CLEANUP_BUF struct buf near = {0};
    nearest_section(c->table, name, &near);
    return refuse(e, at, "unknown section [%s]; the nearest known is %s", name, (char *)near.data);
}

/* Adds the value, or replaces the one there when replace says so. */
static int add_value(struct config *c, const char *section, const char *key, const char *text,
    struct place at, bool replace, struct err *e)
{
    const struct config_option *o = option_find(c->table, section, key);
    if (o == NULL)
        return refuse(e, at, "unknown key '%s' in section [%s]; the nearest known is '%s'", key,
            section, nearest_key(c->table, section, key));
    struct entry *old = entries_find(&c->values, section, o);
    if (old != NULL && !replace)
        return refuse(
            e, at, "'%s' of section [%s] is already set at %s", key, section, old->value.origin);
    if (old == NULL)
        old = entries_push(
            &c->values, (struct config_value){.section = section, .key = o->key, .option = o});
    free((char *)old->value.text);
    free((char *)old->value.origin);
    old->value.text = mem_strdup(text);
    old->value.origin = place_text(at);
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* The n bytes at *s without the blanks around them. */
static size_t trim(const char **s, size_t n)
{
    while (n > 0 && is_blank((*s)[n - 1]))
        n--;
    while (n > 0 && is_blank(**s)) {
        (*s)++;
        n--;
    }
    return n;
}

static int read_header(struct config *c, const char *line, size_t n, struct place at,
    const char **section, struct err *e)
{
    CLEANUP_BUF struct buf shown = {0};
    char name[2 * OPTION_NAME_MAX + 2];
    const char *inner = line + 1;
    size_t inner_len = line[n - 1] == ']' ? trim(&inner, n - 2) : 0;
    if (!section_name(inner, inner_len, name))
        return refuse(e, at,
            "'%s' is no section: expected [KIND] or [KIND NAME], names of at most %d characters "
            "a-z 0-9 _ -",
            show(&shown, line, n), OPTION_NAME_MAX);
    const char *kind = kind_find(c->table, name);
    if (kind == NULL)
        return unknown_section(c, name, at, e);
    if (c->section_count >= CONFIG_SECTIONS_MAX && section_find(c, name) == NULL)
        return refuse(e, at, "more than %d sections", CONFIG_SECTIONS_MAX);
    *section = section_add(c, name, kind);
    return 0;
}

static int read_assignment(struct config *c, const char *line, size_t n, struct place at,
    const char *section, struct err *e)
{
    CLEANUP_BUF struct buf shown = {0};
    const char *equals = memchr(line, '=', n);
    const char *key = line;
    size_t key_len = equals != NULL ? trim(&key, (size_t)(equals - line)) : 0;
    if (!option_name_valid(key, key_len))
        return refuse(e, at,
            "'%s' is no assignment: expected KEY = VALUE, a key of at most %d characters "
            "a-z 0-9 _ -",
            show(&shown, line, n), OPTION_NAME_MAX);
    if (section == NULL)
        return refuse(e, at, "'%s' before the first [section]", show(&shown, line, n));
    const char *value = equals + 1;
    size_t value_len = trim(&value, n - (size_t)(value - line));
    CLEANUP_FREE char *key_text = mem_strndup(key, key_len);
    CLEANUP_FREE char *value_text = mem_strndup(value, value_len);
    return add_value(c, section, key_text, value_text, at, false, e);
}

int config_read_text(struct config *c, const char *name, const char *text, size_t n, struct err *e)
{
    assert(!c->checked);
    struct place at = {.name = name};
    if (n > LIMIT_CONFIG_BYTES)
        return refuse(e, at, "%zu bytes, the limit is %d", n, LIMIT_CONFIG_BYTES);
    const char *section = NULL, *end = text + n;
    for (const char *next; text < end; text = next) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t line_bytes = (size_t)((newline != NULL ? newline : end) - text);
        next = newline != NULL ? newline + 1 : end;
        at.line++;
        if (memchr(text, '\0', line_bytes) != NULL)
            return refuse(e, at, "a NUL byte: this is not a text file");
        const char *line = text;
        size_t len = trim(&line, line_bytes);
        if (len == 0 || *line == '#' || *line == ';')
            continue;
        int r = *line == '[' ? read_header(c, line, len, at, &section, e)
                             : read_assignment(c, line, len, at, section, e);
        if (r != 0)
            return r;
    }
    return 0;
}

int config_read_file(struct config *c, const char *path, struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    struct err why = {0};
    int r = file_read(path, LIMIT_CONFIG_BYTES, &text, &why);
    if (r != 0)
        return err_set(e, r == ERR_RETRY ? r : ERR_CONFIG, "configuration: %s", why.msg);
    return config_read_text(c, path, (const char *)text.data, text.len, e);
}

int config_set(struct config *c, const char *assignment, struct err *e)
{
    assert(!c->checked);
    static const struct place at = {.name = "--set"};
    CLEANUP_BUF struct buf shown = {0};
    char section[2 * OPTION_NAME_MAX + 2];
    const char *equals = strchr(assignment, '=');
    const char *dot =
        equals != NULL ? memrchr(assignment, '.', (size_t)(equals - assignment)) : NULL;
    const char *head = assignment, *key = dot != NULL ? dot + 1 : NULL;
    size_t head_len = dot != NULL ? trim(&head, (size_t)(dot - head)) : 0;
    size_t key_len = dot != NULL ? trim(&key, (size_t)(equals - key)) : 0;
    if (!section_name(head, head_len, section) || !option_name_valid(key, key_len))
        return err_set(e, ERR_USAGE, "--set '%s': expected SECTION.KEY=VALUE",
            show(&shown, assignment, strlen(assignment)));
    const char *kind = kind_find(c->table, section);
    if (kind == NULL)
        return unknown_section(c, section, at, e);
    /* A named section comes from the file alone: a typing error must not add a stage to a run. */
    if (is_named_kind(kind) && section_find(c, section) == NULL)
        return refuse(e, at, "there is no section [%s] in the configuration", section);
    const char *value = equals + 1;
    size_t value_len = trim(&value, strlen(value));
    if (memchr(value, '\n', value_len) != NULL)
        return refuse(e, at, "the value for '%.*s' of [%s] has more than one line", (int)key_len,
            key, section);
    CLEANUP_FREE char *key_text = mem_strndup(key, key_len);
    CLEANUP_FREE char *value_text = mem_strndup(value, value_len);
    return add_value(c, section_add(c, section, kind), key_text, value_text, at, true, e);
}

const char *config_given(const struct config *c, const char *section, const char *key)
{
    assert(!c->checked);
    const struct config_option *o = option_find(c->table, section, key);
    assert(o != NULL);
    const struct entry *given = entries_find(&c->values, section, o);
    return given != NULL ? given->value.text : NULL;
}

void config_suggest(
    struct config *c, const char *section, const char *key, const char *text, const char *origin)
{
    if (config_given(c, section, key) != NULL)
        return;
    const struct config_option *o = option_find(c->table, section, key);
    const char *name = section_add(c, section, kind_find(c->table, section));
    (void)entries_push(&c->values, (struct config_value){.section = name,
                                       .key = o->key,
                                       .text = mem_strdup(text),
                                       .origin = mem_strdup(origin),
                                       .option = o});
}

/* Moves the section's value for o to list, or makes it from the default, and parses it. */
static int complete_value(struct config *c, const struct section *s, const struct config_option *o,
    struct entries *list, struct err *e)
{
    struct entry *given = entries_find(&c->values, s->name, o);
    struct entry *entry;
    if (given != NULL) {
        entry = entries_push(list, given->value);
        given->value.text = given->value.origin = NULL;
    } else if (o->def != NULL) {
        entry = entries_push(list, (struct config_value){.section = s->name,
                                       .key = o->key,
                                       .text = mem_strdup(o->def),
                                       .origin = mem_strdup("default"),
                                       .option = o});
    } else {
        return err_set(e, ERR_CONFIG, "section [%s] lacks '%s': %s", s->name, o->key, o->help);
    }
    int r = option_parse(o, entry->value.text, &entry->parsed, e);
    if (r != 0)
        return err_ctx(e, "%s: '%s' of section [%s]", entry->value.origin, o->key, s->name);
    return 0;
}

/* A value that must be given has no default: it reads as zero and empty. */
static int add_kind_defaults(struct config *c, struct err *e)
{
    for (const struct config_option *o = c->table; o->section != NULL; o++) {
        if (!is_named_kind(o->section))
            continue;
        struct entry *entry =
            entries_push(&c->kinds, (struct config_value){.section = o->section,
                                        .key = o->key,
                                        .text = mem_strdup(o->def != NULL ? o->def : ""),
                                        .origin = mem_strdup("default"),
                                        .option = o});
        if (o->def != NULL && option_parse(o, o->def, &entry->parsed, e) != 0)
            return err_ctx(e, "default: '%s' of section [%s]", o->key, o->section);
    }
    return 0;
}

int config_check(struct config *c, struct err *e)
{
    assert(!c->checked);
    for (const struct config_option *o = c->table; o->section != NULL; o++) {
        if (!is_named_kind(o->section))
            (void)section_add(c, o->section, o->section);
    }
    struct entries complete = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < c->section_count; i++) {
        const struct section *s = &c->sections[i];
        for (const struct config_option *o = c->table; r == 0 && o->section != NULL; o++) {
            if (strcmp(o->section, s->kind) == 0)
                r = complete_value(c, s, o, &complete, e);
        }
    }
    entries_done(&c->values);
    c->values = complete;
    if (r == 0)
        r = add_kind_defaults(c, e);
    c->checked = r == 0;
    return r;
}

static const struct entry *lookup(const struct config *c, const char *section, const char *key)
{
    assert(c->checked);
    const struct config_option *o = option_find(c->table, section, key);
    assert(o != NULL);
    const struct entry *entry = entries_find(&c->values, section, o);
    if (entry == NULL)
        entry = entries_find(&c->kinds, o->section, o);
    assert(entry != NULL);
    return entry;
}

bool config_bool(const struct config *c, const char *section, const char *key)
{
    const struct entry *entry = lookup(c, section, key);
    assert(entry->value.option->type == OPT_BOOL);
    return entry->parsed.yes;
}

int64_t config_int(const struct config *c, const char *section, const char *key)
{
    const struct entry *entry = lookup(c, section, key);
    assert(entry->value.option->type == OPT_INT);
    return entry->parsed.number;
}

double config_float(const struct config *c, const char *section, const char *key)
{
    const struct entry *entry = lookup(c, section, key);
    assert(entry->value.option->type == OPT_FLOAT);
    return entry->parsed.low;
}

const char *config_str(const struct config *c, const char *section, const char *key)
{
    return lookup(c, section, key)->value.text;
}

bool config_range(
    const struct config *c, const char *section, const char *key, double *low, double *high)
{
    const struct entry *entry = lookup(c, section, key);
    assert(entry->value.option->type == OPT_RANGE);
    if (!entry->parsed.yes)
        return false;
    *low = entry->parsed.low;
    *high = entry->parsed.high;
    return true;
}

const struct config_value *config_value(
    const struct config *c, const char *section, const char *key)
{
    return &lookup(c, section, key)->value;
}

const struct config_option *config_table(const struct config *c)
{
    return c->table;
}

size_t config_named(const struct config *c, const char *kind, const char **ret_names, size_t cap)
{
    size_t found = 0, n = strlen(kind);
    for (size_t i = 0; i < c->section_count; i++) {
        const char *name = c->sections[i].name;
        if (strncmp(name, kind, n) != 0 || name[n] != ' ')
            continue;
        if (found < cap)
            ret_names[found] = name + n + 1;
        found++;
    }
    return found;
}

size_t config_count(const struct config *c)
{
    assert(c->checked);
    return c->values.count;
}

const struct config_value *config_at(const struct config *c, size_t i)
{
    assert(c->checked);
    assert(i < c->values.count);
    return &c->values.items[i].value;
}
