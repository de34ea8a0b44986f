/* store_prune.c: segments that nothing will read again.
 *
 * A segment goes when every group in it is scored and its step lies before the oldest kept
 * checkpoint: a resume computes from there on, and no step before it is asked for again. Its rows
 * lose the number of the segment in the transaction that keeps or prunes a checkpoint, and the file
 * goes after the commit. A crash between the two leaves a file that no row points to, which the
 * next start removes as it removes any such file.
 */
#include "learner/store_db.h"

#include "common/base/fault.h"
#include "common/base/log.h"

int store_prune_rows(struct store *s, struct buf *ret_numbers, struct err *e)
{
    int r = db_bind(s, SLOT_ONE,
        "SELECT g.segment FROM groups g, (SELECT stage, step FROM checkpoints WHERE state = 'valid'"
        "  ORDER BY updates LIMIT 1) c"
        " WHERE g.segment IS NOT NULL AND g.segment <> ? GROUP BY g.segment"
        " HAVING min(g.state = 'scored' AND (g.stage, g.step) < (c.stage, c.step))",
        e, "i", (int64_t)segments_current(s->segments));
    while (r == 0 && (r = db_next(s, SLOT_ONE, e)) == 1) {
        uint32_t number = (uint32_t)db_int(s, SLOT_ONE, 0);
        buf_append(ret_numbers, &number, sizeof(number));
        r = 0;
    }
    const uint32_t *numbers = (const void *)ret_numbers->data;
    for (size_t i = 0; r == 0 && i < ret_numbers->len / sizeof(*numbers); i++)
        r = db_run(s, SLOT_ONE, "UPDATE groups SET segment = NULL WHERE segment = ?", e, "i",
            (int64_t)numbers[i]);
    return r;
}

int store_prune_files(struct store *s, const struct buf *numbers, struct err *e)
{
    const uint32_t *list = (const void *)numbers->data;
    size_t count = numbers->len / sizeof(*list);
    if (count > 0 && fault_hit(FAULT_SEGMENT_PRUNE))
        return err_set(e, ERR_RETRY, "remove segment %u: injected", list[0]);
    for (size_t i = 0; i < count; i++) {
        struct err why = {0};
        if (segment_remove(s->segments, list[i], &why) != 0)
            log_warn(
                "store", "a pruned segment stays until the next start, ignoring", LOG_ERR(&why));
    }
    return 0;
}
