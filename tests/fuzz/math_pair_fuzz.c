/* math_pair_fuzz.c: pairs of any bytes before the math checker. An input is a reference, a line's
 * end, an answer; or a single text, which is compared with itself.
 */
#include <stdlib.h>

#include "reward-server/scoring/math/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort(); /* reported by libFuzzer with the input */
}

/* What begins like this is not emptied by the removal of marks and blanks. */
static bool is_plain(struct span s)
{
    return s.n > 0 && s.n <= MATH_TEXT_MAX && memchr(s.at, '\0', s.n) == NULL && s.at[0] > ' ' &&
           s.at[0] < '\x7f' && strchr("$~.\\{}", s.at[0]) == NULL;
}

/* Within the bound of steps; with a reason when it does not pass; equal to itself. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = memchr(data, '\n', size);
    struct span a = {(const char *)data, cut != NULL ? (size_t)(cut - data) : size};
    struct span b = {(const char *)data + a.n, size - a.n};
    struct math_verdict v = math_check_pair(a, b), self = math_check_pair(a, a);
    must(v.steps <= MATH_STEPS_MAX && self.steps <= MATH_STEPS_MAX);
    must(v.why != NULL && (v.answer != MATH_UNKNOWN || v.why[0] != '\0'));
    must(!is_plain(a) || self.answer == MATH_EQUAL);
    struct math_verdict again = math_check_pair(a, b);
    must(again.answer == v.answer && again.steps == v.steps);
    return 0;
}
