/* dataset_files_test.c: the published files as they are shipped. They are not part of the tree:
 * COHORT_DATA names a directory with them, or they lie in ../shared/data beside the sources
 * (argument 1); else the test is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/text/dataset.h"

static const char *data_dir;

static void published_files_load_whole(void **state)
{
    static const struct {
        const char *file, *format;
        size_t rows;
        const char *first_key, *first_answer;
    } files[] = {
        {"gsm8k_train.jsonl", "gsm8k", 7473, "0", "72"},
        {"gsm8k_test.jsonl", "gsm8k", 1319, "0", "18"},
        {"math_test.jsonl", "math", 5000, "0", "2"},
        {"humaneval.jsonl", "humaneval", 164, "HumanEval/0", NULL},
        {"mbpp.jsonl", "mbpp", 974, "1", NULL},
        {"aime24.jsonl", "math", 30, "60", "204"},
        {"amc23.jsonl", "math", 40, "0", "27"},
    };
    size_t read = 0;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP_FREE char *path = mem_printf("%s/%s", data_dir, files[i].file);
        struct dataset *d = NULL;
        struct err e;
        if (!file_exists(path)) {
            print_message("skip: %s is not there\n", files[i].file);
            continue;
        }
        if (dataset_load(path, "auto", SPLIT_ALL, 0, &d, &e) != 0)
            fail_msg("%s", e.msg);
        assert_string_equal(dataset_format(d), files[i].format);
        assert_int_equal(dataset_count(d), files[i].rows);
        assert_string_equal(dataset_row(d, 0)->key, files[i].first_key);
        if (files[i].first_answer != NULL)
            assert_string_equal(dataset_row(d, 0)->answer, files[i].first_answer);
        for (size_t k = 0; k < dataset_count(d); k++) {
            const struct dataset_row *row = dataset_row(d, k);
            assert_true(row->prompt[0] != '\0');
            assert_true(row->answer != NULL ? row->answer[0] != '\0'
                                            : strstr(row->json, "\"tests\":[{") != NULL);
        }
        dataset_free(d);
        read++;
    }
    assert_true(read > 0);
}

int main(int argc, char **argv)
{
    data_dir = getenv("COHORT_DATA");
    CLEANUP_FREE char *beside = mem_printf("%s/../shared/data", argc > 1 ? argv[1] : ".");
    if (data_dir == NULL && file_exists(beside))
        data_dir = beside;
    if (data_dir == NULL) {
        print_message("skip: no published datasets (COHORT_DATA names their directory)\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(published_files_load_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
