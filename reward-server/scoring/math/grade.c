/* grade.c: see grade.h. */
#include "reward-server/scoring/math/grade.h"

#include "common/text/boxed.h"

/* Of a row of boxes the last one alone may be the answer: solutions box their cases one by one. */
static struct math_verdict check_extracted(struct span reference, struct span found)
{
    struct math_verdict v = math_check_pair(reference, found);
    size_t begin, len;
    if (v.answer != MATH_EQUAL && boxed_last(found.at, found.n, &begin, &len))
        v = math_check_pair(reference, span_trim((struct span){found.at + begin, len}));
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
