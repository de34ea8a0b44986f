/* config_fuzz.c: libFuzzer target for configuration texts.
 *
 * The input is a text, then assignments as --set takes them, with bytes 0x01 between. Whatever is
 * accepted must print to a text that reads back to the same values, and must equal itself.
 */
#include <stdlib.h>

#include "common/base/config.h"
#include "proto/limits.h"

static const struct config_option table[] = {
    {"run", "name", OPT_STRING, OPT_IDENTITY, "run", 0, 0, NULL, "name"},
    {"run", "seed", OPT_INT, OPT_IDENTITY, "1", 0, 0, NULL, "seed"},
    {"learner", "threads", OPT_INT, OPT_LIVE, "2", 1, 64, NULL, "threads"},
    {"learner", "order", OPT_CHOICE, OPT_IDENTITY, "exact", 0, 0, "exact|arrival", "order"},
    {"learner", "sync", OPT_BOOL, OPT_LIVE, "yes", 0, 0, NULL, "sync"},
    {"stage *", "steps", OPT_INT, OPT_EXTEND, "1", 1, 1e6, NULL, "steps"},
    {"stage *", "lr", OPT_FLOAT, OPT_IDENTITY, "3e-4", 0, 1, NULL, "learning rate"},
    {"stage *", "gate", OPT_RANGE, OPT_LIVE, "", 0, 0, NULL, "gate"},
    {0},
};

static void require(bool good)
{
    if (!good)
        abort();
}

static void no_change(void *arg, const struct config_value *was, const struct config_value *is)
{
    require(false);
}

/* Reads text and assignments; NULL when something is refused, which must say why. */
static struct config *read_input(const char *data, size_t n)
{
    struct config *c = config_new(table);
    struct err e = {0};
    const char *end = data + n, *mark = memchr(data, 1, n);
    int r = config_read_text(c, "fuzz", data, mark != NULL ? (size_t)(mark - data) : n, &e);
    while (r == 0 && mark != NULL) {
        const char *start = mark + 1;
        mark = memchr(start, 1, (size_t)(end - start));
        char *assignment = mem_strndup(start, (size_t)((mark != NULL ? mark : end) - start));
        r = config_set(c, assignment, &e);
        free(assignment);
    }
    if (r == 0)
        r = config_check(c, &e);
    if (r == 0)
        return c;
    require(e.code == r && e.msg[0] != '\0' && (r == ERR_CONFIG || r == ERR_USAGE));
    config_free(c);
    return NULL;
}

static void check_same(const struct config *a, const struct config *b)
{
    struct err e = {0};
    require(config_count(a) == config_count(b));
    for (size_t i = 0; i < config_count(a); i++) {
        const struct config_value *x = config_at(a, i), *y = config_at(b, i);
        require(x->option == y->option && strcmp(x->section, y->section) == 0);
        require(strcmp(x->text, y->text) == 0);
    }
    require(config_compare(a, b, no_change, NULL, &e) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct config *c = read_input((const char *)data, n);
    if (c == NULL)
        return 0;
    struct buf printed = {0};
    struct err e = {0};
    config_print(c, &printed, n % 2 == 0);
    if (printed.len <= LIMIT_CONFIG_BYTES) {
        struct config *again = config_new(table);
        require(config_read_text(again, "printed", (char *)printed.data, printed.len, &e) == 0);
        require(config_check(again, &e) == 0);
        check_same(c, again);
        config_free(again);
    }
    buf_done(&printed);
    config_free(c);
    return 0;
}
