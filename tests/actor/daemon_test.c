/* daemon_test.c: the command lines and the ends of the two worker daemons, as processes. Arguments:
 * the paths of cohort-actor and cohort-reward-server. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"

enum { DAEMONS = 2, ARGS_MAX = 10 };

static const char *daemons[DAEMONS];

struct child {
    pid_t pid;
    int output; /* read end of its stdout and stderr */
};

static struct child begin(const char *program, const char *const *args)
{
    const char *argv[ARGS_MAX] = {program};
    struct child c;
    int fds[2];
    for (size_t i = 0; args[i] != NULL; i++)
        argv[1 + i] = args[i];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        if (dup2(fds[1], STDOUT_FILENO) >= 0 && dup2(fds[1], STDERR_FILENO) >= 0)
            execv(program, (char *const *)argv);
        _exit(99);
    }
    close(fds[1]);
    c.output = fds[0];
    return c;
}

/* Exit status; ret_output is the caller's. */
static int finish(struct child c, char **ret_output)
{
    struct buf out = {0};
    char part[4096];
    int status;
    for (ssize_t n; (n = read(c.output, part, sizeof(part))) > 0;)
        buf_append(&out, part, (size_t)n);
    close(c.output);
    assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
    *ret_output = out.data != NULL ? (char *)out.data : mem_strdup("");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/* Reads until the text has been printed: the daemon is that far. */
static void until(struct child c, const char *text)
{
    CLEANUP_BUF struct buf out = {0};
    char part[4096];
    while (out.data == NULL || strstr((const char *)out.data, text) == NULL) {
        ssize_t n = read(c.output, part, sizeof(part));
        if (n <= 0)
            fail_msg("ended before '%s': %s", text, (const char *)out.data);
        buf_append(&out, part, (size_t)n);
    }
}

static void check(const char *const *args, int status, const char *says)
{
    for (size_t i = 0; i < DAEMONS; i++) {
        CLEANUP_FREE char *out = NULL;
        int found = finish(begin(daemons[i], args), &out);
        if (found != status || strstr(out, says) == NULL)
            fail_msg(
                "%s: status %d, expected %d and '%s':\n%s", daemons[i], found, status, says, out);
    }
}

static void test_usage(void **state)
{
    check((const char *const[]){NULL}, 2, "say where the learner is");
    check(
        (const char *const[]){"--run", "a", "--connect", "ipc://b", NULL}, 2, "where the learner");
    check((const char *const[]){"--run", "a", "b", NULL}, 2, "unexpected argument 'b'");
    check((const char *const[]){"--nonsense", NULL}, 2, "nonsense");
    check((const char *const[]){"--run", "a", "--parent-fd", "x", NULL}, 2, "a file descriptor");
    check((const char *const[]){"--run", "a", "--fault", "no.such:1:kill", NULL}, 2, "--fault");
    check((const char *const[]){"--run", "a", "--log-level", "loud", NULL}, 2, "--log-level");
    check((const char *const[]){"--help", NULL}, 0, "--connect");
}

static void test_configuration(void **state)
{
    check((const char *const[]){"--run", "a", "--set", "actor.slots=0", NULL}, 3, "slots");
    check((const char *const[]){"--run", "a", "--set", "actor.slotz=1", NULL}, 3, "nearest");
    check((const char *const[]){"--run", "a", "--conf", "/no/such.conf", NULL}, 3, "/no/such.conf");
}

static void test_bad_names_and_addresses(void **state)
{
    for (size_t i = 0; i < DAEMONS; i++) {
        CLEANUP_FREE char *a = NULL;
        CLEANUP_FREE char *b = NULL;
        const char *const name[] = {"--connect", "ipc:///tmp/x", "--name", "Not A Name", NULL};
        const char *const tcp[] = {"--connect", "tcp://127.0.0.1:7", "--name", "w", NULL};
        assert_in_range(finish(begin(daemons[i], name), &a), 1, 4);
        assert_in_range(finish(begin(daemons[i], tcp), &b), 1, 4);
        assert_non_null(strstr(b, "tcp"));
    }
}

/* With no learner in sight a worker waits; the end of the control pipe or a signal ends it. */
static void test_ends(void **state)
{
    for (size_t i = 0; i < 2 * DAEMONS; i++) {
        CLEANUP_FREE char *out = NULL;
        bool by_pipe = i % 2 == 0;
        int control[2];
        char fd[16];
        assert_int_equal(pipe(control), 0);
        assert_int_equal(fcntl(control[1], F_SETFD, FD_CLOEXEC), 0);
        (void)snprintf(fd, sizeof(fd), "%d", control[0]);
        const char *const args[] = {
            "--run", "/tmp/cohort-no-such-run", "--name", "w", "--parent-fd", fd, NULL};
        struct child c = begin(daemons[i / 2], args);
        close(control[0]);
        until(c, "no learner yet");
        if (by_pipe)
            close(control[1]);
        else
            assert_int_equal(kill(c.pid, SIGTERM), 0);
        assert_int_equal(finish(c, &out), by_pipe ? 5 : 0);
        if (!by_pipe)
            close(control[1]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_bad_names_and_addresses),
        cmocka_unit_test(test_ends),
    };
    if (argc != 1 + DAEMONS) {
        (void)fprintf(stderr, "usage: daemon_test COHORT-ACTOR COHORT-REWARD-SERVER\n");
        return 2;
    }
    daemons[0] = argv[1];
    daemons[1] = argv[2];
    return cmocka_run_group_tests_name("actor/daemon", tests, NULL, NULL);
}
