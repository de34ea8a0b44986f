/* value_test.c: claimed values against expected ones: what is the same, what is not, what cannot be
 * read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "reward-server/scoring/code.h"

struct pair {
    const char *expected, *claimed; /* claimed: what stands in {"v": ...} */
};

static const struct pair same[] = {
    {"null", "null"},
    {"true", "true"},
    {"\"a\\u0000b\"", "\"a\\u0000b\""},
    {"3", "3"},
    {"3", "3.0"},
    {"9223372036854775807", "9223372036854775807"},
    {"0.5", "0.5"},
    {"0.1", "0.10000000000000002"},
    {"2.0", "2"},
    {"0.0", "-0.0"},
    {"1e19", "[\"i\",\"0x8ac7230489e80000\"]"},
    {"[]", "[\"l\",[]]"},
    {"[1,[2,3]]", "[\"l\",[1,[\"t\",[2,3]]]]"},
    {"{}", "[\"d\",[]]"},
    {"{\"a\":1,\"2\":[]}", "[\"d\",[[2,[\"l\",[]]],[\"a\",1]]]"},
};

static const struct pair different[] = {
    {"null", "false"},
    {"true", "1"},
    {"1", "true"},
    {"0", "null"},
    {"3", "\"3\""},
    {"\"3\"", "3"},
    {"\"a\"", "\"a\\u0000b\""},
    {"9007199254740993", "9007199254740992.0"},
    {"3", "[\"i\",\"0x3\"]"},
    {"3", "3.0000001"},
    {"0.5", "0.500001"},
    {"0.0", "0.00000001"},
    {"0.5", "[\"f\",\"nan\"]"},
    {"1e308", "[\"f\",\"inf\"]"},
    {"0.5", "[\"i\",\"nan\"]"},
    {"[1,2]", "[\"l\",[1]]"},
    {"[1,2]", "[\"l\",[1,2,3]]"},
    {"[1,2]", "[\"s\",[1,2]]"},
    {"[1,2]", "[1,2]"},
    {"[\"l\",[1]]", "[\"l\",[1]]"},
    {"[]", "\"\""},
    {"[]", "[\"l\",{}]"},
    {"[]", "[\"lt\",[]]"},
    {"{}", "[\"l\",[]]"},
    {"{}", "[\"d\",{}]"},
    {"{\"a\":1}", "[\"d\",[[\"a\",2]]]"},
    {"{\"a\":1}", "[\"d\",[[\"a\",1],[\"b\",1]]]"},
    {"{\"1\":0,\"2\":0}", "[\"d\",[[1,0],[\"1\",0]]]"},
    {"{\"a\":1}", "[\"d\",[[\"a\\u0000\",1]]]"},
    {"{\"a\":1}", "[\"d\",[[[\"t\",[]],1]]]"},
    {"3", "[\"h\",0,\"generator\"]"},
    {"3", "[]"},
    {"3", "[\"\",3]"},
    {"3", "{}"},
};

static bool compare(const char *expected, const char *claimed, const char **ret_why)
{
    static struct arena *a;
    arena_free(a);
    a = arena_new(0); /* lives until the next comparison, for its reason */
    CLEANUP_FREE char *list = mem_printf("[%s]", expected);
    return code_value_same(
        (struct span){list, strlen(list)}, (struct span){claimed, strlen(claimed)}, a, ret_why);
}

static void check(const struct pair *p, bool expected)
{
    const char *why = "";
    CLEANUP_FREE char *line = mem_printf("{\"v\": %s}", p->claimed);
    if (compare(p->expected, line, &why) != expected)
        fail_msg(
            "%s and %s: expected %s", p->expected, p->claimed, expected ? "same" : "different");
    if (!expected && strlen(why) < 10)
        fail_msg("%s and %s: no reason", p->expected, p->claimed);
}

static void values_compare(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        check(&same[i], true);
    for (size_t i = 0; i < ARRAY_LEN(different); i++)
        check(&different[i], false);
}

static void what_is_no_claim_is_refused(void **state)
{
    static const char *const lines[] = {"", "\n", "3", "{}", "{\"v\"}", "{\"v\":3", "{\"v\":3}x",
        "{\"v\":3}{\"v\":3}", "{\"v\":2,\"v\":3}", "{\"v\":NaN}", "{\"v\":\"\\ud800\"}", "[3]",
        "\xff"};
    const char *why;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        why = "";
        assert_false(compare("3", lines[i], &why));
        assert_string_not_equal(why, "");
    }
    CLEANUP_BUF struct buf deep = {0};
    buf_puts(&deep, "{\"v\":");
    for (int i = 0; i < 100000; i++)
        buf_puts(&deep, "[\"l\",[");
    assert_false(compare("[]", (const char *)deep.data, &why));
}

static void one_of_several_is_enough(void **state)
{
    const char *why = "";
    assert_true(compare("3,[3]", "{\"v\":3}", &why));
    assert_true(compare("3,[3]", "{\"v\":[\"l\",[3]]}", &why));
    assert_false(compare("3,[3]", "{\"v\":[\"l\",[3,3]]}", &why));
    assert_string_equal(why, "expected 3, found [3, 3]");
    assert_false(compare("", "{\"v\":3}", &why));
}

static void reasons_show_both(void **state)
{
    const char *why;
    assert_false(compare("[1,2]", "{\"v\":[\"t\",[1,[\"d\",[[\"k\",[\"s\",[]]]]]]]}", &why));
    assert_string_equal(why, "expected [1,2], found (1, {\"k\": {}})");
    assert_false(compare("3", "{\"v\":[\"h\",0,\"generator\"]}", &why));
    assert_string_equal(why, "expected 3, found a value of type generator");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_compare),
        cmocka_unit_test(what_is_no_claim_is_refused),
        cmocka_unit_test(one_of_several_is_enough),
        cmocka_unit_test(reasons_show_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
