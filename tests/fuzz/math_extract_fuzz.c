/* math_extract_fuzz.c: completions of any bytes before the search for an answer, and references
 * before the search for theirs: what is found lies within the text and is the same each time.
 */
#include <stdlib.h>

#include "reward-server/scoring/math/check.h"
#include "reward-server/scoring/math/grade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort(); /* reported by libFuzzer with the input */
}

static void within(struct span text, struct span part)
{
    must(part.n == 0 || (part.at >= text.at && part.at + part.n <= text.at + text.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size}, found = {text.at, 0};
    enum math_place place = math_extract(text, &found);
    must(place <= MATH_PLACE_NUMBER);
    if (place != MATH_PLACE_NONE) {
        must(found.n > 0);
        within(text, found);
    }
    within(text, math_reference(text));
    static const char five[] = "5";
    struct math_request q = {{five, 1}, text, false};
    struct math_outcome a, b;
    math_grade(&q, &a);
    math_grade(&q, &b);
    must(a.found == (place != MATH_PLACE_NONE) && a.answer == b.answer);
    return 0;
}
