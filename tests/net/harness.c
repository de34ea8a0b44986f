/* harness.c: see harness.h. */
#include "tests/net/harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/file.h"

enum { WATCHDOG_MS = 120 * 1000 };

static void on_watchdog(uv_timer_t *t)
{
    (void)t;
    (void)fprintf(stderr, "the test waits for something that does not come\n");
    abort();
}

void harness_init(struct harness *h)
{
    assert_int_equal(uv_loop_init(&h->loop), 0);
    assert_int_equal(uv_timer_init(&h->loop, &h->watchdog), 0);
    uv_unref((uv_handle_t *)&h->watchdog);
    (void)snprintf(h->dir, sizeof(h->dir), "/tmp/cohort-net-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    (void)snprintf(h->base, sizeof(h->base), "ipc://%s", h->dir);
    (void)snprintf(h->address, sizeof(h->address), "%s/ctl", h->base);
}

void harness_watch(struct harness *h)
{
    uv_update_time(&h->loop);
    assert_int_equal(uv_timer_start(&h->watchdog, on_watchdog, WATCHDOG_MS, 0), 0);
}

void harness_until(struct harness *h, const bool *condition)
{
    HARNESS_UNTIL(h, *condition);
}

void harness_settle(struct harness *h)
{
    for (int i = 0; i < 100; i++)
        (void)uv_run(&h->loop, UV_RUN_NOWAIT);
}

void harness_done(struct harness *h)
{
    uv_close((uv_handle_t *)&h->watchdog, NULL);
    assert_int_equal(uv_run(&h->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&h->loop), 0);
    struct err e;
    assert_int_equal(file_remove_tree(h->dir, &e), 0);
}
