/* assert_ok.h: a call that must succeed; else the test fails with what it left in `err`, a struct
 * err in scope. After cmocka.h. */
#ifndef COHORT_TEST_ASSERT_OK_H
#define COHORT_TEST_ASSERT_OK_H

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, err.msg);                                                    \
    } while (0)

#endif
