/* config.h: INI files in the manner of systemd, checked against a table of options.
 *
 * A value's origin (file and line, --set, or default) travels with it. Unknown sections and keys
 * stop the start with file, line and the nearest known name. Sections may carry a name: [stage
 * zero] is an instance of "stage *". Immutable after config_check; any thread may then read it.
 */
#ifndef COHORT_BASE_CONFIG_H
#define COHORT_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/base/mem.h"

enum {
    CONFIG_SECTIONS_MAX = 256,
};

enum option_type {
    OPT_BOOL,   /* yes no true false on off 1 0 */
    OPT_INT,    /* decimal, suffix K M G (powers of 1024) allowed */
    OPT_FLOAT,  /* decimal or exponent form */
    OPT_STRING, /* the rest of the line */
    OPT_CHOICE, /* one of choices, "a|b|c" */
    OPT_RANGE,  /* LOW..HIGH, two floats; empty means none */
};

/* What a difference on resume means (DESIGN section 9). */
enum option_class { OPT_IDENTITY, OPT_LIVE, OPT_EXTEND };

struct config_option {
    const char *section; /* "learner", or "stage *" for named sections */
    const char *key;
    enum option_type type;
    enum option_class class;
    const char *def;     /* default as text; NULL: must be given in each such section */
    double min, max;     /* OPT_INT, OPT_FLOAT; both 0: no bound */
    const char *choices; /* OPT_CHOICE */
    const char *help;    /* one line; units included */
};

struct config_value {
    const char *section; /* full, "stage zero"; owned by the config */
    const char *key;
    const char *text;
    const char *origin; /* "FILE:LINE", "--set", "default", or that of config_suggest */
    const struct config_option *option;
};

struct config;

/* Lines end with LF or CRLF, blanks around names and values do not count, '#' and ';' begin a
 * comment only at the start of a line. Names are 1 to 64 characters of [a-z0-9_-]. A section may be
 * opened again, but a key is set once. After an error the config is good for config_free only.
 *
 * table ends with a zeroed option and must outlive the config. */
struct config *config_new(const struct config_option *table);
void config_free(struct config *c);

int config_read_file(struct config *c, const char *path, struct err *e) ERR_WARN_UNUSED;
int config_read_text(
    struct config *c, const char *name, const char *text, size_t n, struct err *e) ERR_WARN_UNUSED;
/* "SECTION.KEY=VALUE": up to the first '=', the section is all before its last dot. Call it after
 * the files, whose values it replaces; a named section must be in them (a typing error must not add
 * a stage). ERR_USAGE when malformed. */
int config_set(struct config *c, const char *assignment, struct err *e) ERR_WARN_UNUSED;

/* Before config_check. The text that was given for a key, NULL when none was; and a default that
 * comes from elsewhere than the table: it counts where no value was given, and origin says whose it
 * is. An option that the table lacks is our own bug (assert). */
const char *config_given(const struct config *c, const char *section, const char *key);
void config_suggest(
    struct config *c, const char *section, const char *key, const char *text, const char *origin);

/* Adds defaults and checks every value's type and bounds. Call once, after reading. */
int config_check(struct config *c, struct err *e) ERR_WARN_UNUSED;

/* Values after config_check. Asking for an option that the table lacks is our own bug (assert). A
 * section that does not exist answers with the defaults of its kind. */
bool config_bool(const struct config *c, const char *section, const char *key);
int64_t config_int(const struct config *c, const char *section, const char *key);
double config_float(const struct config *c, const char *section, const char *key);
const char *config_str(const struct config *c, const char *section, const char *key);
bool config_range(
    const struct config *c, const char *section, const char *key, double *low, double *high);
const struct config_value *config_value(
    const struct config *c, const char *section, const char *key);

/* Names of the sections "KIND NAME" in file order, at most cap; returns how many there are. */
size_t config_named(const struct config *c, const char *kind, const char **ret_names, size_t cap);

/* All values, sections in file order, keys in table order: the iteration behind --print-config,
 * run.conf and resume. Sections without a name exist always, after those of the file. */
size_t config_count(const struct config *c);
const struct config_value *config_at(const struct config *c, size_t i);

/* Writes the effective configuration as an INI file that reads back to the same values; with_origin
 * puts "# from ORIGIN" before each. */
void config_print(const struct config *c, struct buf *out, bool with_origin);

/* Writes the commented sample file made from a table: the text of `--help=config`. */
void config_print_table(const struct config_option *table, struct buf *out);

/* The table it was made with. */
const struct config_option *config_table(const struct config *c);

/* Compares a stored run with what is asked for now; both made with the same table. ERR_CONFIG
 * naming option, both values and both origins at the first identity difference; the list of named
 * sections of a kind that has identity options is identity too. Otherwise calls changed for each
 * live or extend difference (whether an extension is possible is the caller's to say). "8K" equals
 * "8192". */
int config_compare(const struct config *stored, const struct config *now,
    void (*changed)(void *arg, const struct config_value *was, const struct config_value *is),
    void *arg, struct err *e) ERR_WARN_UNUSED;

#endif
