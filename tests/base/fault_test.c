/* fault_test.c: each case arms its faults in a child of its own, since arming is for a whole
 * process. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fault.h"

/* In the child: visits a point n times; the exit status is the bit mask of the visits that failed.
 */
static void visit_child(const char *const specs[2], enum fault_site site, int n)
{
    struct err e = {0};
    for (int i = 0; i < 2; i++) {
        if (specs[i] != NULL && fault_arm(specs[i], &e) != 0)
            _exit(99);
    }
    int mask = 0;
    for (int i = 0; i < n; i++)
        mask |= fault_hit(site) << i;
    _exit(mask);
}

static pid_t visit(const char *one, const char *two, enum fault_site site, int n)
{
    pid_t pid = fork();
    if (pid == 0)
        visit_child((const char *const[2]){one, two}, site, n);
    assert_true(pid > 0);
    return pid;
}

static int status_of(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    return status;
}

static void nothing_armed(void **state)
{
    for (int i = 0; i < FAULT_SITE_COUNT; i++)
        assert_false(fault_hit((enum fault_site)i));
}

static void error_comes_at_its_visit_only(void **state)
{
    int status = status_of(visit("store.commit:3:error", NULL, FAULT_STORE_COMMIT, 6));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1 << 2);
    status = status_of(visit("store.commit:1:error", NULL, FAULT_STORE_COMMITTED, 6));
    assert_int_equal(WEXITSTATUS(status), 0); /* another site */
    status = status_of(visit("reply.sent:1:kill", "store.commit:2:error", FAULT_STORE_COMMIT, 3));
    assert_int_equal(WEXITSTATUS(status), 1 << 1); /* two sites are armed apart */
}

/* Every site can be armed by its name and kills there. */
static void kill_at_each_site(void **state)
{
    for (int i = 0; i < FAULT_SITE_COUNT; i++) {
        enum fault_site site = (enum fault_site)i;
        char spec[100];
        (void)snprintf(spec, sizeof(spec), "%s:2:kill", fault_site_name(site));
        int status = status_of(visit(spec, NULL, site, 1));
        assert_true(WIFEXITED(status));
        status = status_of(visit(spec, NULL, site, 2));
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
    }
}

static void stop_waits_for_sigcont(void **state)
{
    pid_t pid = visit("actor.sampled:1:stop", NULL, FAULT_ACTOR_SAMPLED, 3);
    int status = status_of(pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(WSTOPSIG(status), SIGSTOP);
    assert_int_equal(kill(pid, SIGCONT), 0);
    status = status_of(pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void malformed_specs(void **state)
{
    static const char *const bad[] = {"", ":", "::", "store.commit", "store.commit:1",
        "store.commit::kill", "store.commit:0:kill", "store.commit:-1:kill", "store.commit:+1:kill",
        "store.commit: 1:kill", "store.commit:1x:kill", "store.commit:1:", "store.commit:1:kil",
        "store.commit:1:kill ", "store.commit:1:kill:", "nosuch:1:kill", "store.commi:1:kill",
        "store.commit2:1:kill", ":1:kill", "store.commit:99999999999999999999:kill"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        assert_int_equal(fault_arm(bad[i], &e), ERR_USAGE);
        assert_non_null(strstr(e.msg, bad[i]));
    }
    nothing_armed(state); /* a refused one arms nothing */
}

static void names(void **state)
{
    assert_string_equal(fault_site_name(FAULT_SEGMENT_APPEND), "segment.append");
    assert_string_equal(fault_site_name(FAULT_REWARD_SUBMITTED), "reward.submitted");
    assert_string_equal(fault_site_name(FAULT_SITE_COUNT), "?");
    for (int i = 0; i < FAULT_SITE_COUNT; i++) {
        for (int j = 0; j < i; j++)
            assert_string_not_equal(
                fault_site_name((enum fault_site)i), fault_site_name((enum fault_site)j));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_armed),
        cmocka_unit_test(error_comes_at_its_visit_only),
        cmocka_unit_test(kill_at_each_site),
        cmocka_unit_test(stop_waits_for_sigcont),
        cmocka_unit_test(malformed_specs),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
