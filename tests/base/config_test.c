/* config_test.c: reading, checking, asking, printing and comparing configurations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/config.h"
#include "common/base/option.h"
#include "proto/limits.h"

static const struct config_option table[] = {
    {"run", "name", OPT_STRING, OPT_IDENTITY, NULL, 0, 0, NULL, "name of the run"},
    {"run", "seed", OPT_INT, OPT_IDENTITY, "1", 0, 0, NULL, "seed of everything random"},
    {"learner", "threads", OPT_INT, OPT_LIVE, "2", 1, 64, NULL, "threads"},
    {"learner", "memory", OPT_INT, OPT_LIVE, "8M", 0, 0, NULL, "bytes"},
    {"learner", "order", OPT_CHOICE, OPT_IDENTITY, "exact", 0, 0, "exact|arrival", "order"},
    {"learner", "sync", OPT_BOOL, OPT_LIVE, "yes", 0, 0, NULL, "whether to sync"},
    {"stage *", "steps", OPT_INT, OPT_EXTEND, NULL, 1, 1e6, NULL, "steps"},
    {"stage *", "lr", OPT_FLOAT, OPT_IDENTITY, "3e-4", 0, 1, NULL, "learning rate"},
    {"stage *", "gate", OPT_RANGE, OPT_LIVE, "", 0, 0, NULL, "pass rate to go on"},
    {"stage *", "template", OPT_STRING, OPT_IDENTITY, "", 0, 0, NULL, "prompt template"},
    {"view *", "width", OPT_INT, OPT_LIVE, "80", 1, 1000, NULL, "columns"},
    {0},
};

static void config_clean(struct config **c)
{
    config_free(*c);
}
#define CLEANUP_CONFIG CLEANUP(config_clean)

static int read_text(struct config *c, const char *text, struct err *e)
{
    return config_read_text(c, "test.conf", text, strlen(text), e);
}

/* A checked configuration of this text, which must be good. */
static struct config *config_of(const char *text)
{
    struct err e = {0};
    struct config *c = config_new(table);
    if (read_text(c, text, &e) != 0 || config_check(c, &e) != 0)
        fail_msg("%s", e.msg);
    return c;
}

/* Reading or checking the text must be refused with exactly this message. */
static void check_refused(const char *text, const char *message)
{
    CLEANUP_CONFIG struct config *c = config_new(table);
    struct err e = {0};
    int r = read_text(c, text, &e);
    if (r == 0)
        r = config_check(c, &e);
    assert_int_equal(r, ERR_CONFIG);
    assert_string_equal(e.msg, message);
}

static const char sample[] = "# a comment\n"
                             "; another\n"
                             "\n"
                             "[run]\n"
                             "name = my run # 1; \"x\" \n"
                             "[stage zero]\r\n"
                             "  steps=8\r\n"
                             "\tgate\t=\t0.25..0.5\t\n"
                             "[learner]\n"
                             "memory = 64K\n"
                             "order = arrival\n"
                             "sync = off\n"
                             "[stage base]\n"
                             "steps = 1\n"
                             "lr = 1e-2\n"
                             "template =  {prompt} = a; [x]\n"
                             "[run]\n"
                             "seed = -5";

static void values_of_all_types(void **state)
{
    CLEANUP_CONFIG struct config *c = config_of(sample);
    double low = 7, high = 7;
    assert_string_equal(config_str(c, "run", "name"), "my run # 1; \"x\"");
    assert_int_equal(config_int(c, "run", "seed"), -5);
    assert_int_equal(config_int(c, "learner", "threads"), 2);
    assert_int_equal(config_int(c, "learner", "memory"), 65536);
    assert_string_equal(config_str(c, "learner", "order"), "arrival");
    assert_false(config_bool(c, "learner", "sync"));
    assert_int_equal(config_int(c, "stage zero", "steps"), 8);
    assert_true(config_float(c, "stage zero", "lr") == 3e-4);
    assert_true(config_float(c, "stage base", "lr") == 1e-2);
    assert_string_equal(config_str(c, "stage base", "template"), "{prompt} = a; [x]");
    assert_false(config_range(c, "stage base", "gate", &low, &high));
    assert_true(low == 7 && high == 7);
    assert_true(config_range(c, "stage zero", "gate", &low, &high));
    assert_true(low == 0.25 && high == 0.5);
    assert_ptr_equal(config_table(c), table);
}

static void sections_that_do_not_exist_answer_with_defaults(void **state)
{
    CLEANUP_CONFIG struct config *c = config_of(sample);
    double low, high;
    assert_true(config_float(c, "stage nowhere", "lr") == 3e-4);
    assert_int_equal(config_int(c, "view any", "width"), 80);
    assert_int_equal(config_int(c, "stage nowhere", "steps"), 0); /* has no default */
    assert_string_equal(config_str(c, "stage nowhere", "steps"), "");
    assert_false(config_range(c, "stage nowhere", "gate", &low, &high));
    assert_string_equal(config_value(c, "stage nowhere", "lr")->origin, "default");
}

static void names_and_origins(void **state)
{
    CLEANUP_CONFIG struct config *c = config_of(sample);
    const char *names[2] = {NULL, NULL};
    assert_int_equal(config_named(c, "stage", names, 2), 2);
    assert_string_equal(names[0], "zero"); /* file order */
    assert_string_equal(names[1], "base");
    names[1] = NULL;
    assert_int_equal(config_named(c, "stage", names, 1), 2);
    assert_null(names[1]);
    assert_int_equal(config_named(c, "view", names, 2), 0);
    assert_int_equal(config_named(c, "run", names, 2), 0);
    assert_int_equal(config_named(c, "stag", names, 2), 0);
    assert_string_equal(config_value(c, "run", "name")->origin, "test.conf:5");
    assert_string_equal(config_value(c, "stage zero", "gate")->origin, "test.conf:8");
    assert_string_equal(config_value(c, "run", "seed")->origin, "test.conf:18");
    assert_string_equal(config_value(c, "learner", "threads")->origin, "default");
}

/* Sections in file order, keys in table order, and sections without a name exist always. */
static void iteration_order(void **state)
{
    CLEANUP_CONFIG struct config *c = config_of("[stage b]\nlr=1\nsteps=2\n[run]\nname=x\n");
    static const char *const expected[] = {"stage b/steps", "stage b/lr", "stage b/gate",
        "stage b/template", "run/name", "run/seed", "learner/threads", "learner/memory",
        "learner/order", "learner/sync"};
    assert_int_equal(config_count(c), ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct config_value *v = config_at(c, i);
        CLEANUP_FREE char *name = mem_printf("%s/%s", v->section, v->key);
        assert_string_equal(name, expected[i]);
        assert_string_equal(v->option->key, v->key);
        assert_ptr_equal(config_value(c, v->section, v->key), v);
    }
}

static void refusals_while_reading(void **state)
{
    check_refused("[run]\nname=x\n\n[lerner]\n",
        "test.conf:4: unknown section [lerner]; the nearest known is [learner]");
    check_refused("[stag zero]\n",
        "test.conf:1: unknown section [stag zero]; the nearest known is [stage NAME]");
    check_refused(
        "[stage]\n", "test.conf:1: unknown section [stage]; the nearest known is [stage NAME]");
    check_refused("[learner one]\n",
        "test.conf:1: unknown section [learner one]; the nearest known is [learner]");
    check_refused("[learner]\n\nthread = 5\n",
        "test.conf:3: unknown key 'thread' in section [learner]; the nearest known is 'threads'");
    check_refused("[stage a]\nstesp = 5\n",
        "test.conf:2: unknown key 'stesp' in section [stage a]; the nearest known is 'steps'");
    check_refused("[run]\nname=a\nseed=1\n[learner]\n[run]\nname=b\n",
        "test.conf:6: 'name' of section [run] is already set at test.conf:2");
    check_refused("name=a\n", "test.conf:1: 'name=a' before the first [section]");
}

static void malformed_lines(void **state)
{
    static const char *const sections[] = {"[", "[]", "[ ]", "[run", "[run]x", "[RUN]", "[run a b]",
        "[ru\xc3\xa9n]", "[run] # no", "[stage *]", "[stage\vzero]", "[st\x1b"};
    static const char *const lines[] = {"x", "=", "= x", "Name = x", "na me = x", "name: x",
        "n.ame = x", "]", "\xef\xbb\xbf[run]", "name\\"};
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        CLEANUP_CONFIG struct config *c = config_new(table);
        assert_int_equal(read_text(c, sections[i], &e), ERR_CONFIG);
        assert_non_null(strstr(e.msg, "test.conf:1: "));
        assert_non_null(strstr(e.msg, "is no section"));
        assert_null(strchr(e.msg, '\x1b'));
    }
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        CLEANUP_CONFIG struct config *c = config_new(table);
        CLEANUP_FREE char *text = mem_printf("[run]\n%s\n", lines[i]);
        assert_int_equal(read_text(c, text, &e), ERR_CONFIG);
        assert_non_null(strstr(e.msg, "test.conf:2: "));
        assert_non_null(strstr(e.msg, "is no assignment"));
    }
    CLEANUP_CONFIG struct config *c = config_new(table);
    assert_int_equal(config_read_text(c, "t", "[run]\nname = a\0b\n", 17, &e), ERR_CONFIG);
    assert_string_equal(e.msg, "t:2: a NUL byte: this is not a text file");
}

static void limits(void **state)
{
    struct err e = {0};
    char name[OPTION_NAME_MAX + 2];
    memset(name, 'n', sizeof(name));
    CLEANUP_CONFIG struct config *c = config_new(table);
    CLEANUP_FREE char *longest = mem_printf("[stage %.*s]\nsteps=1\n", OPTION_NAME_MAX, name);
    CLEANUP_FREE char *longer = mem_printf("[stage %.*s]\nsteps=1\n", OPTION_NAME_MAX + 1, name);
    assert_int_equal(read_text(c, longest, &e), 0);
    assert_int_equal(read_text(c, longer, &e), ERR_CONFIG);

    CLEANUP_BUF struct buf sections = {0};
    for (int i = 0; i < CONFIG_SECTIONS_MAX; i++)
        buf_printf(&sections, "[view v%d]\n", i);
    CLEANUP_CONFIG struct config *full = config_new(table);
    assert_int_equal(read_text(full, (char *)sections.data, &e), 0);
    assert_int_equal(read_text(full, "[view v0]\n", &e), 0); /* known ones may open again */
    assert_int_equal(read_text(full, "[view more]\n", &e), ERR_CONFIG);
    assert_string_equal(e.msg, "test.conf:1: more than 256 sections");

    CLEANUP_BUF struct buf text = {0};
    while (text.len < LIMIT_CONFIG_BYTES)
        buf_puts(&text, "#\n");
    CLEANUP_CONFIG struct config *big = config_new(table);
    assert_int_equal(config_read_text(big, "t", (char *)text.data, LIMIT_CONFIG_BYTES, &e), 0);
    buf_puts(&text, "\n");
    assert_int_equal(config_read_text(big, "t", (char *)text.data, text.len, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "1048577 bytes, the limit is 1048576"));
}

/* One line may be as long as the file. */
static void long_values(void **state)
{
    CLEANUP_BUF struct buf text = {0};
    buf_puts(&text, "[run]\nname = ");
    size_t start = text.len;
    memset(buf_extend(&text, LIMIT_CONFIG_BYTES - start), 'v', LIMIT_CONFIG_BYTES - start);
    CLEANUP_CONFIG struct config *c = config_of((char *)text.data);
    assert_int_equal(strlen(config_str(c, "run", "name")), LIMIT_CONFIG_BYTES - start);
}

static void empty_texts(void **state)
{
    check_refused("", "section [run] lacks 'name': name of the run");
    check_refused("\n\n#\n;\n   \n", "section [run] lacks 'name': name of the run");
    check_refused("[run]\nname=x\n[stage a]\n", "section [stage a] lacks 'steps': steps");
    CLEANUP_CONFIG struct config *c = config_of("[run]\nname=\n"); /* given, and empty */
    assert_string_equal(config_str(c, "run", "name"), "");
    config_free(NULL);
}

static void bad_values(void **state)
{
    check_refused("[run]\nname=x\nseed=7.5\n",
        "test.conf:3: 'seed' of section [run]: value '7.5', expected integer");
    check_refused("[run]\nname=x\n[learner]\nthreads = 0\n",
        "test.conf:4: 'threads' of section [learner]: value '0', expected integer, 1 to 64");
    check_refused("[run]\nname=x\n[learner]\norder = exac\n",
        "test.conf:4: 'order' of section [learner]: value 'exac', expected one of exact|arrival");
    check_refused("[run]\nname=x\n[learner]\nsync = \x1b[1m\n",
        "test.conf:4: 'sync' of section [learner]: value '\\x1b[1m', expected yes or no");
}

/* Whether an option of this type, choices "a|bc|" and bounds takes the text. */
static bool takes(enum option_type type, double min, double max, const char *text)
{
    struct config_option o = {"s", "k", type, OPT_LIVE, NULL, min, max, "a|bc|", "help"};
    struct option_value value;
    struct err e = {0};
    int r = option_parse(&o, text, &value, &e);
    assert_true(r == 0 || (r == ERR_CONFIG && e.msg[0] != '\0'));
    return r == 0;
}

static int64_t parsed_int(const char *text)
{
    struct config_option o = {.section = "s", .key = "k", .type = OPT_INT};
    struct option_value value = {0};
    struct err e;
    assert_int_equal(option_parse(&o, text, &value, &e), 0);
    return value.number;
}

static void integers(void **state)
{
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1k", "1KK", "K", "0x10", "1e3",
        "1.0", "--1", "9223372036854775808", "-9223372036854775809", "9007199254740992K",
        "99999999999999999999G", "1T", "one"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(takes(OPT_INT, 0, 0, bad[i]));
    assert_true(parsed_int("9223372036854775807") == INT64_MAX);
    assert_true(parsed_int("-9223372036854775808") == INT64_MIN);
    assert_true(parsed_int("-8589934592G") == INT64_MIN);
    assert_int_equal(parsed_int("007"), 7);
    assert_int_equal(parsed_int("3K"), 3072);
    assert_int_equal(parsed_int("3M"), 3 << 20);
    assert_true(parsed_int("3G") == (int64_t)3 << 30);
    assert_true(takes(OPT_INT, 1, 5, "1") && takes(OPT_INT, 1, 5, "5"));
    assert_false(takes(OPT_INT, 1, 5, "0") || takes(OPT_INT, 1, 5, "6"));
    assert_false(takes(OPT_INT, 1, 5, "5K"));
    assert_true(takes(OPT_INT, -5, -1, "-3"));
}

static void numbers_and_ranges(void **state)
{
    static const char *const good[] = {"0", "1", "-1", "+1", ".5", "5.", "1e3", "1E-3", "-2.5e+10"};
    static const char *const bad[] = {"", ".", "-", "e5", "1e", "inf", "nan", "0x1p3", " 1", "1 ",
        "1,5", "1e999", "1..2", "--1", "1.2.3",
        "1000000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(takes(OPT_FLOAT, 0, 0, good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(takes(OPT_FLOAT, 0, 0, bad[i]));
    assert_true(takes(OPT_FLOAT, 0, 1, "1") && takes(OPT_FLOAT, 0, 1, "0"));
    assert_false(takes(OPT_FLOAT, 0, 1, "1.0001") || takes(OPT_FLOAT, 0, 1, "-1e-9"));
    assert_true(takes(OPT_FLOAT, 0, 1, "1e-999")); /* rounds to 0 */

    static const char *const ranges[] = {"", "0..1", "0.5..0.5", "-1..1", "1e-3..1e3", "1...5e1"};
    static const char *const no_ranges[] = {
        "..", "1", "1..", "..1", "2..1", "1..2..3", "1 .. 2", "a..b", "1-2"};
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        assert_true(takes(OPT_RANGE, 0, 0, ranges[i]));
    for (size_t i = 0; i < ARRAY_LEN(no_ranges); i++)
        assert_false(takes(OPT_RANGE, 0, 0, no_ranges[i]));
}

static void bools_and_choices(void **state)
{
    static const char *const good[] = {"yes", "no", "true", "false", "on", "off", "1", "0"};
    static const char *const bad[] = {"", "Yes", "y", "2", "yes ", "enable"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(takes(OPT_BOOL, 0, 0, good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(takes(OPT_BOOL, 0, 0, bad[i]));
    assert_true(takes(OPT_CHOICE, 0, 0, "a"));
    assert_true(takes(OPT_CHOICE, 0, 0, "bc"));
    assert_true(takes(OPT_CHOICE, 0, 0, "")); /* an empty last choice */
    assert_false(takes(OPT_CHOICE, 0, 0, "b"));
    assert_false(takes(OPT_CHOICE, 0, 0, "a|bc"));
    assert_false(takes(OPT_CHOICE, 0, 0, "bcd"));
}

static void name_distances(void **state)
{
    assert_int_equal(option_name_distance("", ""), 0);
    assert_int_equal(option_name_distance("abc", ""), 3);
    assert_int_equal(option_name_distance("steps", "steps"), 0);
    assert_int_equal(option_name_distance("stesp", "steps"), 1); /* a swap */
    assert_int_equal(option_name_distance("step", "steps"), 1);
    assert_int_equal(option_name_distance("kitten", "sitting"), 3);
    assert_int_equal(option_name_distance("ca", "abc"), 3);
    assert_true(option_name_valid("a-b_9", 5));
    assert_false(option_name_valid("", 0));
    assert_false(option_name_valid("A", 1));
    assert_false(option_name_valid("a.b", 3));
}

static void overrides(void **state)
{
    CLEANUP_CONFIG struct config *c = config_new(table);
    struct err e = {0};
    assert_int_equal(read_text(c, "[run]\nname=x\n[stage zero]\nsteps=3\n", &e), 0);
    assert_int_equal(config_set(c, "stage zero.steps=8", &e), 0);
    assert_int_equal(config_set(c, " stage  zero . template = a.b=c.d ", &e), 0);
    assert_int_equal(config_set(c, "learner.threads=3", &e), 0); /* section not in the file */
    assert_int_equal(config_set(c, "learner.threads=4", &e), 0); /* the last one wins */
    assert_int_equal(config_set(c, "run.name=", &e), 0);
    assert_int_equal(config_check(c, &e), 0);
    assert_int_equal(config_int(c, "stage zero", "steps"), 8);
    assert_string_equal(config_value(c, "stage zero", "steps")->origin, "--set");
    assert_string_equal(config_str(c, "stage zero", "template"), "a.b=c.d");
    assert_int_equal(config_int(c, "learner", "threads"), 4);
    assert_string_equal(config_str(c, "run", "name"), "");
}

static void bad_overrides(void **state)
{
    static const char *const malformed[] = {"", "=", ".", "a=b", "run.name", ".name=x", "run.=x",
        "run.na me=x", "Run.name=x", "a.b.c=d", "stage a b.steps=1"};
    CLEANUP_CONFIG struct config *c = config_new(table);
    struct err e = {0};
    assert_int_equal(read_text(c, "[run]\nname=x\n[stage zero]\nsteps=3\n", &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        assert_int_equal(config_set(c, malformed[i], &e), ERR_USAGE);
    assert_int_equal(config_set(c, "stage zreo.steps=1", &e), ERR_CONFIG);
    assert_string_equal(e.msg, "--set: there is no section [stage zreo] in the configuration");
    assert_int_equal(config_set(c, "runn.name=x", &e), ERR_CONFIG);
    assert_string_equal(e.msg, "--set: unknown section [runn]; the nearest known is [run]");
    assert_int_equal(config_set(c, "run.nam=x", &e), ERR_CONFIG);
    assert_string_equal(
        e.msg, "--set: unknown key 'nam' in section [run]; the nearest known is 'name'");
    assert_int_equal(config_set(c, "run.name=a\n[learner]", &e), ERR_CONFIG);
    assert_int_equal(config_check(c, &e), 0); /* refused ones left nothing behind */
    assert_string_equal(config_str(c, "run", "name"), "x");
}

static void files(void **state)
{
    char path[] = "/tmp/config_test.XXXXXX";
    CLEANUP_CONFIG struct config *c = config_new(table);
    struct err e = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "[run]\nname=x\n", 13), 13);
    (void)close(fd);
    assert_int_equal(config_read_file(c, path, &e), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(config_read_file(c, path, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, path));
    assert_int_equal(config_read_file(c, "/tmp", &e), ERR_CONFIG);
    assert_int_equal(config_check(c, &e), 0);
    CLEANUP_FREE char *origin = mem_printf("%s:2", path);
    assert_string_equal(config_value(c, "run", "name")->origin, origin);
}

static void prints_origins(void **state)
{
    CLEANUP_CONFIG struct config *c = config_of("[view v]\n[run]\nname = a b\n");
    CLEANUP_BUF struct buf out = {0};
    config_print(c, &out, true);
    assert_string_equal((char *)out.data, "[view v]\n"
                                          "# from default\n"
                                          "width = 80\n"
                                          "\n"
                                          "[run]\n"
                                          "# from test.conf:3\n"
                                          "name = a b\n"
                                          "# from default\n"
                                          "seed = 1\n"
                                          "\n"
                                          "[learner]\n"
                                          "# from default\n"
                                          "threads = 2\n"
                                          "# from default\n"
                                          "memory = 8M\n"
                                          "# from default\n"
                                          "order = exact\n"
                                          "# from default\n"
                                          "sync = yes\n");
}

static void prints_what_reads_back(void **state)
{
    CLEANUP_CONFIG struct config *c = config_of(sample);
    for (int with_origin = 0; with_origin < 2; with_origin++) {
        CLEANUP_BUF struct buf text = {0};
        config_print(c, &text, with_origin);
        CLEANUP_CONFIG struct config *again = config_of((char *)text.data);
        assert_int_equal(config_count(again), config_count(c));
        for (size_t i = 0; i < config_count(c); i++) {
            const struct config_value *a = config_at(c, i), *b = config_at(again, i);
            assert_string_equal(a->section, b->section);
            assert_string_equal(a->key, b->key);
            assert_string_equal(a->text, b->text);
        }
    }
}

static void prints_a_sample_file(void **state)
{
    CLEANUP_BUF struct buf text = {0};
    CLEANUP_CONFIG struct config *c = config_new(table);
    struct err e = {0};
    config_print_table(table, &text);
    assert_non_null(strstr((char *)text.data, "[run]\n"
                                              "# name of the run\n"
                                              "# (text; fixed for the life of a run; required)\n"
                                              "#name =\n"));
    assert_non_null(
        strstr((char *)text.data, "[stage name]\n"
                                  "# steps\n"
                                  "# (integer, 1 to 1000000; may grow on resume; required)\n"
                                  "#steps =\n"
                                  "# learning rate\n"
                                  "# (number, 0 to 1; fixed for the life of a run)\n"
                                  "#lr = 3e-4\n"));
    assert_int_equal(read_text(c, (char *)text.data, &e), 0);

    /* With its assignments uncommented it still reads, each value as its default. */
    CLEANUP_BUF struct buf open = {0};
    for (const char *p = (char *)text.data; *p != '\0'; p++) {
        bool assignment = *p == '#' && p[1] != ' ' && (p == (char *)text.data || p[-1] == '\n');
        if (!assignment)
            buf_append(&open, p, 1);
    }
    CLEANUP_CONFIG struct config *opened = config_new(table);
    assert_int_equal(read_text(opened, (char *)open.data, &e), 0);
}

struct changes {
    char text[500];
};

static void note_change(void *arg, const struct config_value *was, const struct config_value *is)
{
    struct changes *changes = arg;
    size_t n = strlen(changes->text);
    (void)snprintf(changes->text + n, sizeof(changes->text) - n, "%s.%s:%s->%s ", is->section,
        is->key, was->text, is->text);
}

static const char stored_text[] = "[run]\nname=x\n[stage a]\nsteps=5\n[stage b]\nsteps=5\n";

static void check_compare(const char *now_text, const char *changed, const char *error)
{
    CLEANUP_CONFIG struct config *stored = config_of(stored_text);
    CLEANUP_CONFIG struct config *now = config_of(now_text);
    struct changes changes = {""};
    struct err e = {0};
    int r = config_compare(stored, now, note_change, &changes, &e);
    assert_int_equal(r, error[0] != '\0' ? ERR_CONFIG : 0);
    assert_string_equal(e.msg, error);
    assert_string_equal(changes.text, changed);
}

static void comparisons_that_go_on(void **state)
{
    check_compare(stored_text, "", "");
    check_compare("[learner]\nthreads=3\n[run]\nname=x\nseed=01\n[stage a]\nsteps=5\nlr=0.0003\n"
                  "[stage b]\nsteps=6\n",
        "stage b.steps:5->6 learner.threads:2->3 ", "");
    check_compare("[run]\nname=x\n[learner]\nmemory=8192K\nsync=1\n[stage a]\nsteps=5\ngate=0..1\n"
                  "[view v]\nwidth=5\n[stage b]\nsteps=5\n",
        "stage a.gate:->0..1 view v.width:80->5 ", "");
}

static void comparisons_that_refuse(void **state)
{
    check_compare("[run]\nname=x\n[stage a]\nsteps=6\n[stage b]\nsteps=5\nlr=0.5\n", "",
        "'lr' of section [stage b] was '3e-4' (default) when the run started and is '0.5' "
        "(test.conf:7) now: it may not change");
    check_compare("[run]\nname=y\n[stage a]\nsteps=5\n[stage b]\nsteps=5\n", "",
        "'name' of section [run] was 'x' (test.conf:2) when the run started and is 'y' "
        "(test.conf:2) now: it may not change");
    check_compare("[run]\nname=x\n[stage a]\nsteps=5\n", "",
        "stage 2 of the run was 'b' when it started and is '(none)' now: sections [stage NAME] "
        "may not be added, removed or moved");
    check_compare("[run]\nname=x\n[stage a]\nsteps=5\n[stage b]\nsteps=5\n[stage c]\nsteps=5\n", "",
        "stage 3 of the run was '(none)' when it started and is 'c' now: sections [stage NAME] "
        "may not be added, removed or moved");
    check_compare("[run]\nname=x\n[stage b]\nsteps=5\n[stage a]\nsteps=5\n", "",
        "stage 1 of the run was 'a' when it started and is 'b' now: sections [stage NAME] may "
        "not be added, removed or moved");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_all_types),
        cmocka_unit_test(sections_that_do_not_exist_answer_with_defaults),
        cmocka_unit_test(names_and_origins),
        cmocka_unit_test(iteration_order),
        cmocka_unit_test(refusals_while_reading),
        cmocka_unit_test(malformed_lines),
        cmocka_unit_test(limits),
        cmocka_unit_test(long_values),
        cmocka_unit_test(empty_texts),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(integers),
        cmocka_unit_test(numbers_and_ranges),
        cmocka_unit_test(bools_and_choices),
        cmocka_unit_test(name_distances),
        cmocka_unit_test(overrides),
        cmocka_unit_test(bad_overrides),
        cmocka_unit_test(files),
        cmocka_unit_test(prints_origins),
        cmocka_unit_test(prints_what_reads_back),
        cmocka_unit_test(prints_a_sample_file),
        cmocka_unit_test(comparisons_that_go_on),
        cmocka_unit_test(comparisons_that_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
