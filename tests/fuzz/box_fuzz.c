/* box_fuzz.c: libFuzzer target for what travels between the user of boxes and cohort-box.
 *
 * The first byte chooses: results of one box or of a pair, as the user reads them; or requests, as
 * a slot reads them. Whatever is accepted must pack to bytes that unpack to the same again, and
 * what is refused must leave nothing behind.
 */
#include <stdlib.h>
#include <string.h>

#include "reward-server/box/wire.h"

static void require(bool good)
{
    if (!good)
        abort();
}

static void try_results(const uint8_t *data, size_t n, size_t count)
{
    struct box_result r[BOX_PAIR] = {0}, again[BOX_PAIR] = {0};
    CLEANUP_BUF struct buf one = {0}, two = {0};
    if (!wire_results_unpack(data, n, r, count)) {
        for (size_t i = 0; i < BOX_PAIR; i++)
            require(r[i].output == NULL && r[i].errors == NULL && r[i].files == NULL);
        return;
    }
    wire_parts_begin(&one, count);
    for (size_t i = 0; i < count; i++) {
        require(r[i].end < BOX_END_COUNT && r[i].output[r[i].output_len] == '\0' &&
                r[i].errors[r[i].errors_len] == '\0');
        wire_result_add(&one, &r[i]);
    }
    require(wire_results_unpack(one.data, one.len, again, count));
    wire_parts_begin(&two, count);
    for (size_t i = 0; i < count; i++)
        wire_result_add(&two, &again[i]);
    require(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
    for (size_t i = 0; i < count; i++) {
        box_result_done(&r[i]);
        box_result_done(&again[i]);
    }
}

static size_t unpack_and_pack(const uint8_t *data, size_t n, struct buf *ret)
{
    struct box_request q[BOX_PAIR];
    struct wire_lists lists[BOX_PAIR];
    size_t count = wire_requests_unpack(data, n, q, lists);
    wire_parts_begin(ret, count);
    for (size_t i = 0; i < count; i++) {
        require(q[i].file_count <= BOX_FILES_MAX && q[i].phase <= BOX_PROBE);
        for (size_t k = 0; k < q[i].file_count; k++)
            require(strchr(q[i].files[k].name, '/') == NULL);
        for (size_t k = 0; k < q[i].fetch_count; k++)
            require(strchr(q[i].fetch[k], '/') == NULL);
        wire_request_add(ret, &q[i]);
    }
    return count;
}

static void try_requests(const uint8_t *data, size_t n)
{
    CLEANUP_BUF struct buf one = {0}, two = {0};
    size_t count = unpack_and_pack(data, n, &one);
    if (count == 0)
        return;
    require(unpack_and_pack(one.data, one.len, &two) == count);
    require(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    if (data[0] == 0)
        try_requests(data + 1, n - 1);
    else
        try_results(data + 1, n - 1, data[0] % BOX_PAIR + 1);
    return 0;
}
