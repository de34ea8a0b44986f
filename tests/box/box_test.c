/* box_test.c: hostile programs, and the life of boxes. Arguments: path of cohort-box, and "nobody"
 * to give up root first. */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "reward-server/box/language.h"
#include "tests/box/hostile.h"
#include "tests/box/tree.h"

static struct box *box;
static const char *program;
enum { STARVED_MAX = 20 }; /* tries on a busy host */
static bool cold;          /* a new interpreter for each run */
static bool emulated;      /* the processor, in software */

static struct box_limits limits = {.cpu_ms = 400,
    .wall_ms = 1500,
    .memory_bytes = 128 << 20,
    .processes = 16,
    .output_bytes = 1 << 20,
    .work_bytes = 16 << 20,
    .work_files = 256};

static void run(
    enum box_phase phase, const char *language, const struct box_file *f, struct box_result *ret)
{
    struct err e = {0};
    struct box_request q = {.language = language,
        .phase = phase,
        .limits = limits,
        .input = "3 4\n",
        .input_len = 4,
        .files = f,
        .file_count = 1,
        .cold = cold};
    if (phase == BOX_COMPILE) {
        q.limits.cpu_ms *= 50;
        q.limits.wall_ms *= 40;
        q.limits.memory_bytes = 512 << 20;
        q.limits.work_bytes = q.limits.output_bytes = 16 << 20;
    }
    *ret = (struct box_result){.end = BOX_STARVED};
    for (int i = 0; i < STARVED_MAX && ret->end == BOX_STARVED; i++) {
        box_result_done(ret);
        if (box_run(box, &q, ret, &e) != 0)
            fail_msg("%s", e.msg);
    }
}

static void run_source(const char *language, const char *source, struct box_result *ret)
{
    const struct language *l = language_find(language);
    struct box_file f = {l->source, source, strlen(source)};
    struct box_result compiled = {0};
    if (l->built != NULL) {
        run(BOX_COMPILE, language, &f, &compiled);
        if (compiled.end != BOX_EXITED || compiled.detail != 0)
            fail_msg("not compiled: end %d, %s%s", compiled.end, (const char *)compiled.errors,
                compiled.message);
        f = (struct box_file){l->built, compiled.output, compiled.output_len};
    }
    run(BOX_RUN, language, &f, ret);
    box_result_done(&compiled);
}

static int count_bad(void)
{
    int bad = 0;
    for (size_t i = 0; i < hostile_count; i++) {
        const struct hostile *h = &hostile_programs[i];
        struct box_result r;
        if (cold && strcmp(h->language, "python") != 0)
            continue;
        if (emulated && h->slow) {
            printf("skip: %s: too slow on an emulated processor\n", h->name);
            continue;
        }
        if (!language_installed(language_find(h->language))) {
            printf("skip: %s: no %s here\n", h->name, h->language);
            continue;
        }
        if (!strstr(box_isolation(box), "cgroup") && strstr(h->source, "fork()")) {
            printf("skip: %s: without control groups there are no processes\n", h->name);
            continue;
        }
        run_source(h->language, h->source, &r);
        const char *out = r.output != NULL ? (const char *)r.output : "";
        bool same = (h->ends & 1U << r.end) != 0 && (h->detail == ANY || h->detail == r.detail) &&
                    (h->output == NULL || strcmp(h->output, out) == 0);
        if (!same)
            print_error("%s%s: end %d, detail %d, output '%.80s', errors '%.300s' %s\n",
                cold ? "cold: " : "", h->name, r.end, r.detail, out, (const char *)r.errors,
                r.message);
        bad += !same;
        box_result_done(&r);
    }
    return bad;
}

static void each_hostile_program_ends_as_it_must(void **state)
{
    assert_int_equal(count_bad(), 0);
}

static void each_ends_alike_in_a_cold_interpreter(void **state)
{
    cold = true;
    int bad = count_bad();
    cold = false;
    assert_int_equal(bad, 0);
}

static void violations_have_names(void **state)
{
    static const char *const sources[][2] = {
        {"#include <sched.h>\n#include <stdio.h>\nint main(void) { puts(\"a\"); fflush(stdout); "
         "unshare(0x10000000); puts(\"b\"); }",
            "unshare"},
        {"#define _GNU_SOURCE\n#include <sched.h>\nint main(void) { setns(3, 0x20000000); }",
            "setns"},
        {"#include <pthread.h>\n#include <sys/mount.h>\n"
         "static void *f(void *a) { umount2(\"/box\", 2); return a; }\n"
         "int main(void) { pthread_t t; pthread_create(&t, 0, f, 0); for (;;); }",
            "umount2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct box_result r;
        run_source("c", sources[i][0], &r);
        assert_int_equal(r.end, BOX_VIOLATION);
        assert_int_equal(r.detail, SIGSYS);
        assert_string_equal(r.refused, sources[i][1]);
        assert_null(strstr(r.output != NULL ? (const char *)r.output : "", "b"));
        box_result_done(&r);
    }
}

/* What a program may see of others: the same in each run, of a warm interpreter too. */
static void warm_runs_begin_alike(void **state)
{
    static const char text[] =
        "import os,sys\n"
        "print(os.getpid(),os.getppid(),sorted(os.listdir('/box')),sorted(globals()),sys.argv,"
        "__file__,__name__,hash('a'),list({'a','b','c','d'}),os.environ,os.getcwd(),sys.path,"
        "sys.stdin.seekable(),sys.stdout.line_buffering)\n"
        "import builtins,json,random\n"
        "builtins.len=json.dumps=random.random=None\n"
        "open('left','w').write('x')\n"
        "os.environ['LEFT']='1'\n";
    struct box_result first, next;
    run_source("python", text, &first);
    assert_int_equal(first.end, BOX_EXITED);
    assert_int_equal(first.detail, 0);
    for (int i = 0; i < 4; i++) {
        cold = i == 3;
        run_source("python", text, &next);
        cold = false;
        assert_string_equal((const char *)next.output, (const char *)first.output);
        box_result_done(&next);
    }
    box_result_done(&first);
}

static void random_numbers_differ(void **state)
{
    static const char text[] = "import os,random,tempfile,uuid\n"
                               "print(random.random(),os.urandom(8),uuid.uuid4())";
    struct box_result r[3];
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        run_source("python", text, &r[i]);
    assert_string_not_equal((const char *)r[0].output, (const char *)r[1].output);
    assert_string_not_equal((const char *)r[1].output, (const char *)r[2].output);
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        box_result_done(&r[i]);
}

static void runs_do_not_see_each_other(void **state)
{
    struct box_result r;
    run_source("python", "open('/box/left','w').write('x')", &r);
    assert_int_equal(r.end, BOX_EXITED);
    box_result_done(&r);
    run_source("python", "import os;print(sorted(os.listdir('/box')))", &r);
    assert_string_equal((const char *)r.output, "['main.py']\n");
    box_result_done(&r);
}

static void a_run_works(void)
{
    struct box_result r;
    run_source("python", "print(1)", &r);
    assert_string_equal(r.message, "");
    assert_int_equal(r.end, BOX_EXITED);
    assert_string_equal((const char *)r.output, "1\n");
    box_result_done(&r);
}

/* A part that was killed may live a little longer; a run that it loses is a fault, nothing else. */
static void a_run_works_or_is_lost(void)
{
    struct box_result r;
    run_source("python", "print(1)", &r);
    if (r.end != BOX_FAULT) {
        assert_int_equal(r.end, BOX_EXITED);
        assert_string_equal((const char *)r.output, "1\n");
    }
    box_result_done(&r);
}

static void killed_parts_are_started_again(void **state)
{
    a_run_works(); /* so that a slot is there */
    pid_t supervisor = tree_child(getpid());
    if (supervisor < 0)
        skip();
    pid_t slot = tree_child(supervisor);
    assert_true(supervisor > 0 && slot > 0);
    assert_int_equal(kill(slot, SIGKILL), 0);
    a_run_works_or_is_lost();
    a_run_works();
    assert_int_equal(kill(supervisor, SIGKILL), 0);
    for (int i = 0; i < 1000 && tree_child(getpid()) == supervisor; i++)
        a_run_works_or_is_lost();
    assert_int_not_equal(tree_child(getpid()), supervisor);
    a_run_works();
}

/* Files stay when the program is killed for want of memory: had they all of it, its zygote would be
 * killed next, and the program's end be a fault of the host. */
static void files_do_not_take_the_zygotes_memory(void **state)
{
    static const char *const sources[][2] = {
        {"c", "#include <fcntl.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n"
              "static char b[1 << 16];\nint main(void) {\n"
              " int f = open(\"f\", O_CREAT | O_WRONLY, 0600); while (write(f, b, sizeof b) > 0);\n"
              " for (;;) memset(malloc(1 << 16), 1, 1 << 16);\n}\n"},
        {"python", "f = open('f', 'wb')\ntry:\n while True: f.write(b'x' * 65536)\n"
                   "except OSError: pass\na = []\nwhile True: a.append(bytearray(65536))\n"},
    };
    const struct box_limits all = limits;
    for (size_t i = 0; i < 6; i++) {
        struct box_result r;
        const char *const *source = sources[i % 2];
        limits.memory_bytes = 16 << 20;
        limits.work_bytes = 64 << 20;
        run_source(source[0], source[1], &r);
        limits = all;
        assert_string_equal(r.message, "");
        assert_true(r.end == BOX_MEMORY || r.end == BOX_SIGNALLED || r.detail == 1);
        box_result_done(&r);
    }
    a_run_works();
}

static void a_pair_is_connected(void **state)
{
    struct err e = {0};
    static const struct {
        const char *program;
        enum box_end end;
        int detail;
        const char *output;
    } pairs[][BOX_PAIR] = {
        {{"import os;os.write(4,b'ping');print(os.read(3,9).decode())", BOX_EXITED, 0, "pong\n"},
            {"import os;print(os.read(3,9).decode(),flush=True);os.write(4,b'pong')\n"
             "while True: pass",
                BOX_STOPPED, 0, "ping\n"}},
        {{"import os,sys;sys.exit(93 if os.read(3,9)==b'' else 1)", BOX_EXITED, BOX_PEER_LOST, ""},
            {"import os;os._exit(7)", BOX_EXITED, 7, ""}},
        {{"import os,sys;sys.exit(93 if os.read(3,9)==b'' else 1)", BOX_EXITED, BOX_PEER_LOST, ""},
            {"import os;os.close(4)\nwhile True: pass", BOX_CPU, 0, ""}},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct box_file f[BOX_PAIR];
        struct box_request q[BOX_PAIR];
        struct box_result r[BOX_PAIR] = {0};
        for (size_t k = 0; k < BOX_PAIR; k++) {
            f[k] = (struct box_file){"main.py", pairs[i][k].program, strlen(pairs[i][k].program)};
            q[k] = (struct box_request){
                .language = "python", .limits = limits, .files = &f[k], .file_count = 1};
            q[k].limits.wall_ms = 60000; /* each waits for the other, on a busy host too */
        }
        assert_int_equal(box_run_pair(box, q, r, &e), 0);
        for (size_t k = 0; k < BOX_PAIR; k++) {
            assert_int_equal(r[k].end, pairs[i][k].end);
            assert_int_equal(r[k].detail, pairs[i][k].detail);
            assert_string_equal(
                r[k].output != NULL ? (const char *)r[k].output : "", pairs[i][k].output);
            box_result_done(&r[k]);
        }
    }
}

/* A slot keeps zygotes, which have no children then, and a first process for the next run. */
static void nothing_is_left(void **state)
{
    pid_t children[TREE_MAX];
    a_run_works();
    pid_t supervisor = tree_child(getpid());
    if (supervisor < 0)
        skip();
    int before = tree_children(tree_child(supervisor), children);
    for (int i = 0; i < 100; i++)
        a_run_works();
    int after = tree_children(tree_child(supervisor), children);
    assert_in_range(after, before - 1, before + 1); /* the next first process may be made later */
    for (int i = 0; i < after; i++)
        assert_int_equal(tree_child(children[i]), 0);
}

static void what_cannot_run_is_a_fault(void **state)
{
    struct box_result r = {0};
    struct err e = {0};
    struct box_file f = {"main.py", "", 0};
    struct box_request q = {.language = "cobol", .limits = limits, .files = &f, .file_count = 1};
    assert_int_equal(box_run(box, &q, &r, &e), 0);
    assert_int_equal(r.end, BOX_FAULT);
    box_result_done(&r);
    q.file_count = BOX_FILES_MAX + 1;
    assert_int_equal(box_run(box, &q, &r, &e), ERR_LIMIT);
    f.name = "../out";
    q = (struct box_request){.language = "python", .limits = limits, .files = &f, .file_count = 1};
    assert_int_equal(box_run(box, &q, &r, &e), ERR_RETRY);
    struct box *other = NULL;
    assert_int_equal(box_open("/no/such/cohort-box", &other, &e), ERR_FAIL);
}

/* On a processor that is emulated in software all takes COHORT_TEST_SLOW times as long. */
static void be_patient(void)
{
    const char *text = getenv("COHORT_TEST_SLOW");
    uint64_t times = text != NULL ? strtoull(text, NULL, 10) : 1;
    emulated = times > 1;
    limits.cpu_ms *= times;
    limits.wall_ms *= times;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    if (argc < 2)
        return 2;
    program = argv[1];
    be_patient();
    bool nobody = argc > 2;
    if (nobody && getuid() != 0) {
        printf("skip: only root can become somebody else\n");
        return 77;
    }
    if (nobody && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)) {
        printf("skip: cannot become nobody: %s\n", strerror(errno));
        return 77;
    }
    if (access(program, X_OK) < 0) {
        printf("skip: '%s' is out of reach: %s\n", program, strerror(errno));
        return 77;
    }
    if (box_open(program, &box, &e) != 0) {
        printf("skip: %s\n", e.msg);
        return strstr(e.msg, "cannot be made") != NULL ? 77 : 1;
    }
    printf("isolation: %s\n", box_isolation(box));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hostile_program_ends_as_it_must),
        cmocka_unit_test(each_ends_alike_in_a_cold_interpreter),
        cmocka_unit_test(violations_have_names),
        cmocka_unit_test(warm_runs_begin_alike),
        cmocka_unit_test(random_numbers_differ),
        cmocka_unit_test(runs_do_not_see_each_other),
        cmocka_unit_test(killed_parts_are_started_again),
        cmocka_unit_test(files_do_not_take_the_zygotes_memory),
        cmocka_unit_test(a_pair_is_connected),
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(what_cannot_run_is_a_fault),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    box_close(box);
    return failed;
}
