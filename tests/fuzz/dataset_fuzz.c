/* dataset_fuzz.c: JSONL from anywhere. What is accepted must be whole: a key, a prompt and a task
 * that is JSON, and the two splits must part its rows.
 */
#include <jansson.h>
#include <stdlib.h>

#include "common/text/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort(); /* reported by libFuzzer with the input */
}

static size_t rows_of(const uint8_t *data, size_t size, enum dataset_split split)
{
    struct dataset *d = NULL;
    struct err e = {0};
    int r = dataset_parse((const char *)data, size, "input", "auto", split, 500, &d, &e);
    must((r == 0) == (d != NULL));
    must(r == 0 || (r == ERR_DATA && e.msg[0] != '\0'));
    size_t n = d != NULL ? dataset_count(d) : 0;
    for (size_t i = 0; i < n; i++) {
        const struct dataset_row *row = dataset_row(d, i);
        must(row->key[0] != '\0' && row->prompt[0] != '\0');
        json_t *task = json_loads(row->json, JSON_REJECT_DUPLICATES, NULL);
        must(json_is_object(task));
        const char *answer = json_string_value(json_object_get(task, "answer"));
        must((answer == NULL) == (row->answer == NULL));
        must(answer == NULL || strcmp(answer, row->answer) == 0);
        json_decref(task);
    }
    dataset_free(d);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t all = rows_of(data, size, SPLIT_ALL);
    if (all > 0)
        must(rows_of(data, size, SPLIT_TRAIN) + rows_of(data, size, SPLIT_HELDOUT) == all);
    return 0;
}
