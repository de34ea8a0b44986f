/* hub_service_test.c: the whole service over real sockets: hub, store, segments, blobs, the stage
 * thread's calls.
 *
 * The same run with 1, 2 and 4 actors, with workers that release leases, judges that fault, and
 * workers that are killed and replaced, must leave the same tables. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/net/bus.h"
#include "hub_fake.h"

enum { STEPS = 4 };

struct crowd {
    unsigned actors, rewards, lazy_permille, faulty_permille;
    uint64_t seed;
};

static size_t start_crowd(
    const struct fake_run *f, const char *dir, const struct crowd *c, struct fake_worker **workers)
{
    size_t n = 0;
    for (unsigned i = 0; i < c->actors + c->rewards; i++) {
        bool actor = i < c->actors;
        CLEANUP_FREE char *name = mem_printf("%s%u", actor ? "a" : "r", i);
        workers[n++] = fake_worker_start(
            &(struct fake_worker_options){.role = actor ? ROLE_ACTOR : ROLE_REWARD,
                .name = name,
                .run_dir = dir,
                .numerics_id = f->numerics_id,
                .slots = 3,
                .lazy_permille = c->lazy_permille,
                .faulty_permille = actor ? 0 : c->faulty_permille,
                .seed = c->seed * 100 + i});
    }
    return n;
}

/* Runs everything and returns the tables. */
static char *run_with(const struct crowd *c)
{
    struct fake_run f;
    struct err e = {0};
    struct fake_worker *workers[16];
    CLEANUP_FREE char *dir = fake_dir();
    fake_run_init(&f, 42, STEPS);
    size_t n = start_crowd(&f, dir, c, workers);
    int r = fake_learner(&f, dir, &e);
    if (r)
        print_message("learner: %s\n", e.msg);
    assert_int_equal(r, 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(fake_worker_join(workers[i], true), 0); /* a late one was told nothing */
    char *tables = fake_tables(dir);
    assert_int_equal(file_remove_tree(dir, &e), 0);
    fake_run_done(&f);
    return tables;
}

static void test_same_tables_for_any_crowd(void **state)
{
    (void)state;
    static const struct crowd crowds[] = {
        {1, 1, 0, 0, 1}, {2, 1, 0, 0, 2}, {4, 2, 0, 0, 3}, {3, 2, 200, 0, 4}, {2, 2, 100, 150, 5}};
    char *first = run_with(&crowds[0]);
    assert_non_null(strstr(first, "finished"));
    for (size_t i = 1; i < ARRAY_LEN(crowds); i++) {
        char *other = run_with(&crowds[i]);
        assert_string_equal(first, other);
        free(other);
    }
    free(first);
}

/* ---- stopping ---- */

/* Without workers the stage thread waits for ever; a stop wakes it, and is clean. Then the run goes
 * on as if nothing had been, through stops at any moment. */
static void test_stop_and_go_on(void **state)
{
    (void)state;
    struct fake_run f;
    struct err e = {0};
    struct fake_worker *workers[16];
    CLEANUP_FREE char *dir = fake_dir();
    char *expected = run_with(&(struct crowd){1, 1, 0, 0, 1});
    fake_run_init(&f, 42, STEPS);
    f.stop_ms = 100;
    assert_int_equal(fake_learner(&f, dir, &e), ERR_INTERRUPTED);
    char *tables = fake_tables(dir);
    assert_non_null(strstr(tables, "stopped"));
    free(tables);
    size_t n = start_crowd(&f, dir, &(struct crowd){2, 1, 0, 0, 7}, workers);
    int r = ERR_INTERRUPTED;
    for (f.stop_ms = 5; r == ERR_INTERRUPTED; f.stop_ms += 5)
        r = fake_learner(&f, dir, &e);
    assert_int_equal(r, 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(fake_worker_join(workers[i], true), 0);
    tables = fake_tables(dir);
    assert_string_equal(tables, expected);
    free(tables);
    free(expected);
    fake_run_done(&f);
    assert_int_equal(file_remove_tree(dir, &e), 0);
}

/* ---- hostile peers ---- */

/* Sends frames with a right header and a wrong payload, of every type and role, to one of the
 * sockets: each must be answered by a Nack, and nothing else may come of it. */
struct hostile {
    const char *run_dir, *socket;
    uint64_t seed;
    pthread_t thread;
    uv_loop_t loop;
    uv_timer_t timer;
    struct bus_client *client;
    struct rng rng;
    unsigned sent, answers, left;
};

static void attack(struct hostile *h);

static void on_answer(void *arg, const struct frame *reply)
{
    struct hostile *h = arg;
    if (reply) {
        assert_int_equal(reply->type, MSG_NACK);
        h->answers++;
    }
    attack(h);
}

static void attack(struct hostile *h)
{
    uint8_t payload[200];
    if (h->left-- == 0) {
        uv_stop(&h->loop);
        return;
    }
    size_t n = rng_below(&h->rng, sizeof(payload));
    for (size_t i = 0; i < n; i++)
        payload[i] = (uint8_t)rng_next(&h->rng);
    struct frame f = {.type = (uint16_t)(1 + rng_below(&h->rng, MSG_TYPE_COUNT - 1)),
        .role = (uint8_t)(ROLE_ACTOR + rng_below(&h->rng, 2)),
        .epoch = 1,
        .session = (1ull << 32) + rng_below(&h->rng, 8),
        .sequence = rng_next(&h->rng),
        .payload = payload,
        .payload_bytes = (uint32_t)n};
    if (f.type == MSG_BYE || f.type == MSG_RELEASED)
        f.type = MSG_POLL; /* an empty one is valid: it could end a worker's session */
    h->sent++;
    (void)bus_client_request(h->client, &f, 20, 0, on_answer, h);
}

static void look_for_address(uv_timer_t *timer)
{
    struct hostile *h = timer->data;
    CLEANUP_FREE char *path = mem_printf("%s/address", h->run_dir);
    CLEANUP_BUF struct buf text = {0};
    if (file_read(path, 4096, &text, NULL) || !text.len)
        return;
    CLEANUP_FREE char *address =
        mem_printf("%.*s/%s", (int)text.len - 1, (char *)text.data, h->socket);
    (void)uv_timer_stop(timer);
    assert_int_equal(bus_client_open(&h->loop, address, &h->client, NULL), 0);
    attack(h);
}

static void *hostile_main(void *arg)
{
    struct hostile *h = arg;
    h->rng = rng_stream((struct rng_key){.seed = h->seed, .domain = RNG_USER});
    h->left = 200;
    (void)uv_loop_init(&h->loop);
    (void)uv_timer_init(&h->loop, &h->timer);
    h->timer.data = h;
    (void)uv_timer_start(&h->timer, look_for_address, 1, 1);
    (void)uv_run(&h->loop, UV_RUN_DEFAULT);
    bus_client_close(h->client);
    uv_close((uv_handle_t *)&h->timer, NULL);
    while (uv_loop_alive(&h->loop))
        (void)uv_run(&h->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&h->loop);
    return NULL;
}

/* The workers start when the strangers have had their say, so that the run does not end before. */
struct late_crowd {
    pthread_t thread;
    const struct fake_run *f;
    const char *dir;
    struct hostile *hostile;
    struct fake_worker **workers;
    size_t count;
};

static void *late_crowd_main(void *arg)
{
    struct late_crowd *c = arg;
    for (size_t i = 0; i < 2; i++) {
        (void)pthread_join(c->hostile[i].thread, NULL);
        print_message("%s: %u frames, %u answered\n", c->hostile[i].socket, c->hostile[i].sent,
            c->hostile[i].answers);
    }
    c->count = start_crowd(c->f, c->dir, &(struct crowd){1, 1, 0, 0, 1}, c->workers);
    return NULL;
}

static void test_garbage_from_strangers(void **state)
{
    (void)state;
    struct fake_run f;
    struct err e = {0};
    struct fake_worker *workers[16];
    CLEANUP_FREE char *dir = fake_dir();
    struct hostile hostile[] = {{.run_dir = dir, .socket = "ctl", .seed = 1},
        {.run_dir = dir, .socket = "bulk", .seed = 2}};
    char *expected = run_with(&(struct crowd){1, 1, 0, 0, 1});
    fake_run_init(&f, 42, STEPS);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++)
        (void)pthread_create(&hostile[i].thread, NULL, hostile_main, &hostile[i]);
    struct late_crowd late = {.f = &f, .dir = dir, .hostile = hostile, .workers = workers};
    (void)pthread_create(&late.thread, NULL, late_crowd_main, &late);
    assert_int_equal(fake_learner(&f, dir, &e), 0);
    (void)pthread_join(late.thread, NULL);
    for (size_t i = 0; i < late.count; i++)
        assert_int_equal(fake_worker_join(workers[i], true), 0);
    char *tables = fake_tables(dir);
    assert_string_equal(tables, expected);
    free(tables);
    free(expected);
    fake_run_done(&f);
    assert_int_equal(file_remove_tree(dir, &e), 0);
}

/* ---- disk full ---- */

struct filler {
    const char *path;
    pthread_t thread;
    pthread_mutex_t lock;
    bool end;
};

static bool is_over(struct filler *f)
{
    pthread_mutex_lock(&f->lock);
    bool end = f->end;
    pthread_mutex_unlock(&f->lock);
    return end;
}

/* Fills the disk to the last byte, leaves it so for a while, frees it, again and again. */
static void *filler_main(void *arg)
{
    struct filler *f = arg;
    static char block[4096];
    while (!is_over(f)) {
        int fd = open(f->path, O_RDWR | O_CREAT, 0600);
        for (int i = 0; i < 30; i++) {
            while (write(fd, block, sizeof(block)) > 0) {}
            (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        }
        close(fd);
        (void)unlink(f->path);
        (void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    }
    return NULL;
}

/* In a child with a mount of its own: a run on a disk that is full most of the time. */
static int run_on_small_disk(const char *dir, const char *tables_path)
{
    CLEANUP_FREE char *run_dir = mem_printf("%s/run", dir);
    CLEANUP_FREE char *filler_path = mem_printf("%s/filler", dir);
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", dir, "tmpfs", 0, "size=24m"))
        return 77;
    struct fake_run f;
    struct err e = {0};
    struct fake_worker *workers[16];
    struct filler filler = {.path = filler_path, .lock = PTHREAD_MUTEX_INITIALIZER};
    fake_run_init(&f, 42, STEPS);
    if (file_mkdirs(run_dir, 0755, &e))
        return 1;
    size_t n = start_crowd(&f, run_dir, &(struct crowd){2, 1, 0, 0, 9}, workers);
    (void)pthread_create(&filler.thread, NULL, filler_main, &filler);
    int r = ERR_RETRY;
    while (r == ERR_RETRY) /* a start on a full disk fails, and says so */
        r = fake_learner(&f, run_dir, &e);
    if (r)
        (void)fprintf(stderr, "learner: %s\n", e.msg);
    pthread_mutex_lock(&filler.lock);
    filler.end = true;
    pthread_mutex_unlock(&filler.lock);
    (void)pthread_join(filler.thread, NULL);
    for (size_t i = 0; i < n; i++)
        (void)fake_worker_join(workers[i], true);
    CLEANUP_FREE char *tables = fake_tables(run_dir);
    if (r == 0)
        r = file_write_atomic(tables_path, tables, strlen(tables), &e);
    fake_run_done(&f);
    return r ? 2 : 0;
}

static void test_disk_full_again_and_again(void **state)
{
    (void)state;
    CLEANUP_FREE char *dir = fake_dir();
    CLEANUP_FREE char *mount_dir = mem_printf("%s/disk", dir);
    CLEANUP_FREE char *tables_path = mem_printf("%s/tables", dir);
    CLEANUP_BUF struct buf tables = {0};
    struct err e = {0};
    assert_int_equal(file_mkdirs(mount_dir, 0755, &e), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_on_small_disk(mount_dir, tables_path));
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        assert_int_equal(file_remove_tree(dir, &e), 0);
        print_message("skip: cannot mount a small tmpfs here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(file_read(tables_path, 1 << 24, &tables, &e), 0);
    char *expected = run_with(&(struct crowd){1, 1, 0, 0, 1});
    assert_string_equal((const char *)tables.data, expected);
    free(expected);
    assert_int_equal(file_remove_tree(dir, &e), 0);
}

int main(void)
{
    log_setup(getenv("V") ? LOG_DEBUG : LOG_ERROR, "");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_tables_for_any_crowd),
        cmocka_unit_test(test_stop_and_go_on),
        cmocka_unit_test(test_garbage_from_strangers),
        cmocka_unit_test(test_disk_full_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
