/* grade.c: see grade.h. */
#include "reward-server/scoring/math/grade.h"

#include "common/text/boxed.h"

/* Whether each box of a row alone is the other answer: "\boxed{x+1} or \boxed{1+x}" says one thing
 * twice. A row of different things is their list, or it would be right to guess. */
static bool every_box_is(struct span row, struct span other)
{
    size_t begin, len, boxes = 0;
    const size_t mark = sizeof("\\boxed{") - 1;
    for (; boxed_last(row.at, row.n, &begin, &len); row.n = begin - mark, boxes++) {
        struct span one = span_trim((struct span){row.at + begin, len});
        if (boxes == BOXED_ROW_MAX || begin < mark ||
            math_check_pair(other, one).answer != MATH_EQUAL)
            return false;
    }
    return boxes > 1;
}

static struct math_verdict check_extracted(struct span reference, struct span found)
{
    struct math_verdict v = math_check_pair(reference, found);
    if (v.answer != MATH_EQUAL &&
        (every_box_is(found, reference) || every_box_is(reference, found)))
        v = (struct math_verdict){.answer = MATH_EQUAL, .why = ""};
    return v;
}

void math_grade(const struct math_request *q, struct math_outcome *ret)
{
    struct span found, reference = math_reference(q->reference);
    *ret = (struct math_outcome){.why = ""};
    if (q->tagged) {
        if (!math_extract_boxed(q->text, &found))
            found = q->text;
    } else if (math_extract(q->text, &found) == MATH_PLACE_NONE) {
        return;
    }
    struct math_verdict v = check_extracted(reference, found);
    *ret =
        (struct math_outcome){.found = true, .extracted = found, .answer = v.answer, .why = v.why};
}
