/* Checkpoints: what is written comes back; damage of any file is found before the trainer is
 * touched; a crash at any point leaves none or a whole one. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "learner/checkpoint.h"
#include "learner/publish.h"
#include "tests/learner/learning_fixture.h"

static struct fixture f;

static int open_fixture(void **state)
{
    (void)state;
    fixture_open(&f, NULL);
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

/* A trainer whose state differs in every part from a fresh one. */
static struct trainer *lived_trainer(bool reference)
{
    struct err err = {0};
    struct trainer *t = fixture_trainer(&f, 1, 1, 64);
    struct trainer_state s = trainer_state(t);
    for (size_t i = 0; i < f.model.table->param_count; i++) {
        const struct param *p = &f.model.table->params[i];
        for (size_t k = 0; k < p->count; k++) {
            s.optim->m.data[p->offset + k] = 1e-3f * (float)(k + i);
            s.optim->v.data[p->offset + k] = 1e-6f * (float)(k + 2 * i);
        }
    }
    s.optim->updates = 41;
    if (reference)
        assert_ok(trainer_set_reference(t, &err));
    s.params->data[3] += 1;
    return t;
}

static struct checkpoint_state state_of(struct trainer *t, uint64_t updates)
{
    struct checkpoint_state s = {.stage = 1,
        .step = 7,
        .updates = updates,
        .digest = params_digest(trainer_state(t).params),
        .numerics_id = hash_of("n", 1),
        .training_id = "0123456789abcdef SkylakeX"};
    return s;
}

static void same_params(const struct params *a, const struct params *b)
{
    struct hash x = params_digest(a), y = params_digest(b);
    assert_true(hash_equal(&x, &y));
}

static void what_is_written_comes_back(void **state)
{
    (void)state;
    for (int reference = 0; reference < 2; reference++) {
        struct err err = {0};
        struct hash manifest;
        struct trainer *a = lived_trainer(reference), *b = fixture_trainer(&f, 1, 1, 64);
        struct checkpoint_state in = state_of(a, 100 + (uint64_t)reference), out;
        if (!reference)
            assert_ok(trainer_set_reference(b, &err)); /* and one that must go */
        assert_ok(checkpoint_write(f.dir, &in, a, &manifest, &err));
        assert_ok(checkpoint_read(f.dir, in.updates, &manifest, b, &out, &err));
        assert_memory_equal(&in.digest, &out.digest, sizeof(in.digest));
        assert_memory_equal(&in.numerics_id, &out.numerics_id, sizeof(in.numerics_id));
        assert_string_equal(in.training_id, out.training_id);
        assert_true(in.stage == out.stage && in.step == out.step && in.updates == out.updates);
        struct trainer_state sa = trainer_state(a), sb = trainer_state(b);
        same_params(sa.params, sb.params);
        same_params(&sa.optim->m, &sb.optim->m);
        same_params(&sa.optim->v, &sb.optim->v);
        assert_int_equal(sb.optim->updates, 41);
        assert_int_equal(sa.reference != NULL, sb.reference != NULL);
        if (reference)
            same_params(sa.reference, sb.reference);
        trainer_free(a);
        trainer_free(b);
    }
}

/* ---- damage ---- */

enum damage { FLIP, CUT, GROW, REMOVE, EMPTY, DAMAGE_COUNT };

static void damage_file(const char *path, enum damage how)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    int fd = open(path, O_RDWR);
    uint8_t byte;
    switch (how) {
    case FLIP:
        assert_int_equal(pread(fd, &byte, 1, st.st_size / 2), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
        break;
    case CUT:
        assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
        break;
    case GROW:
        assert_int_equal(pwrite(fd, "x", 1, st.st_size), 1);
        break;
    case EMPTY:
        assert_int_equal(ftruncate(fd, 0), 0);
        break;
    case REMOVE:
        assert_int_equal(unlink(path), 0);
        break;
    case DAMAGE_COUNT:
        break;
    }
    (void)close(fd);
}

static const char *const members[] = {"manifest", "moment1.safetensors", "moment2.safetensors",
    "params.safetensors", "reference.safetensors", "state.json"};

static void damage_of_any_file_is_found(void **state)
{
    (void)state;
    struct trainer *a = lived_trainer(true);
    for (size_t m = 0; m < ARRAY_LEN(members); m++) {
        for (int how = 0; how < DAMAGE_COUNT; how++) {
            for (int known = 0; known < 2;
                 known++) { /* with and without the database's manifest hash */
                struct err err = {0};
                struct hash manifest, before;
                struct checkpoint_state s = state_of(a, 5), out;
                struct trainer *b = fixture_trainer(&f, 1, 1, 64);
                before = params_digest(trainer_state(b).params);
                assert_ok(checkpoint_write(f.dir, &s, a, &manifest, &err));
                char *path = mem_printf("%s/checkpoints/update-5/%s", f.dir, members[m]);
                damage_file(path, how);
                int r = checkpoint_read(f.dir, 5, known ? &manifest : NULL, b, &out, &err);
                if (r != ERR_DATA)
                    fail_msg("%s, damage %d: %d %s", members[m], how, r, err.msg);
                assert_non_null(strstr(err.msg, "checkpoint after 5 updates"));
                struct hash after = params_digest(trainer_state(b).params);
                assert_true(hash_equal(&before, &after));
                assert_ok(checkpoint_write(f.dir, &s, a, &manifest, &err)); /* heals */
                assert_ok(checkpoint_read(f.dir, 5, &manifest, b, &out, &err));
                trainer_free(b);
                free(path);
            }
        }
    }
    trainer_free(a);
}

/* Files that agree with each other, but state.json is not ours. */
static void strange_state_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{}", "[]",
        "{\"stage\":1,\"step\":1,\"updates\":5,\"optimiser_updates\":1,\"digest\":\"00\","
        "\"numerics_id\":\"00\","
        "\"training_id\":\"x\"}"};
    struct trainer *a = lived_trainer(false);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err err = {0};
        struct hash manifest;
        struct checkpoint_state s = state_of(a, 5), out;
        struct buf text = {0};
        assert_ok(checkpoint_write(f.dir, &s, a, &manifest, &err));
        char *path = mem_printf("%s/checkpoints/update-5/state.json", f.dir);
        char *manifest_path = mem_printf("%s/checkpoints/update-5/manifest", f.dir);
        assert_ok(file_write_atomic(path, texts[i], strlen(texts[i]), &err));
        assert_ok(file_read(manifest_path, 1 << 16, &text, &err));
        char hex[HASH_HEX];
        struct hash h = hash_of(texts[i], strlen(texts[i]));
        text.len =
            (size_t)(strstr((char *)text.data, "params.safetensors\n") - (char *)text.data) + 19;
        buf_printf(&text, "%s %zu state.json\n", hash_hex(&h, hex), strlen(texts[i]));
        assert_ok(file_write_atomic(manifest_path, text.data, text.len, &err));
        assert_int_equal(checkpoint_read(f.dir, 5, NULL, a, &out, &err), ERR_DATA);
        buf_done(&text);
        free(path);
        free(manifest_path);
    }
    trainer_free(a);
}

static void a_missing_one_is_data(void **state)
{
    (void)state;
    struct err err = {0};
    struct checkpoint_state out;
    struct trainer *t = fixture_trainer(&f, 1, 1, 64);
    assert_int_equal(checkpoint_read(f.dir, 99, NULL, t, &out, &err), ERR_DATA);
    trainer_free(t);
}

static void the_list_knows_only_whole_ones(void **state)
{
    (void)state;
    static const char *const names[] = {"update-3", "update-12", "update-9", "update-7.tmp",
        "update-007", "update-", "other", "update-99999999999999999999999"};
    struct err err = {0};
    uint64_t *list;
    size_t n;
    assert_ok(checkpoint_list(f.dir, &list, &n, &err)); /* no directory yet */
    assert_int_equal(n, 0);
    free(list);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = mem_printf("%s/checkpoints/%s", f.dir, names[i]);
        assert_ok(file_mkdirs(path, 0755, &err));
        free(path);
    }
    assert_ok(checkpoint_list(f.dir, &list, &n, &err));
    assert_int_equal(n, 3);
    assert_true(list[0] == 3 && list[1] == 9 && list[2] == 12);
    free(list);
    assert_ok(checkpoint_remove(f.dir, 9, &err));
    assert_ok(checkpoint_remove(f.dir, 9, &err));
}

/* ---- crashes ---- */

/* Runs fn in a child that dies at the fault point. */
static void die_at(const char *spec, void (*fn)(void *arg), void *arg)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err e;
        if (fault_arm(spec, &e) == 0)
            fn(arg);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void write_it(void *arg)
{
    struct err e;
    struct hash manifest;
    struct trainer *t = arg;
    struct checkpoint_state s = state_of(t, 5);
    if (checkpoint_write(f.dir, &s, t, &manifest, &e) != 0)
        _exit(1);
}

static void a_crash_leaves_none_or_a_whole_one(void **state)
{
    (void)state;
    struct err err = {0};
    struct hash manifest;
    struct checkpoint_state out;
    struct trainer *a = lived_trainer(true), *b = fixture_trainer(&f, 1, 1, 64);
    struct checkpoint_state s = state_of(a, 5);
    die_at("checkpoint.written:1:kill", write_it, a);
    assert_int_equal(checkpoint_read(f.dir, 5, NULL, b, &out, &err), ERR_DATA);
    die_at("checkpoint.renamed:1:kill", write_it, a);
    assert_ok(checkpoint_read(f.dir, 5, NULL, b, &out, &err));
    struct stat before, after;
    char *path = mem_printf("%s/checkpoints/update-5", f.dir);
    assert_int_equal(stat(path, &before), 0);
    assert_ok(checkpoint_write(f.dir, &s, a, &manifest, &err)); /* accepted as it is */
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_ok(checkpoint_read(f.dir, 5, &manifest, b, &out, &err));
    free(path);
    trainer_free(a);
    trainer_free(b);
}

/* ---- weights files ---- */

static void publish_it(void *arg)
{
    struct err e;
    struct params scratch;
    uint64_t bytes;
    struct trainer *t = arg;
    struct hash digest = params_digest(trainer_state(t).params);
    if (params_new(f.model.table, &scratch, &e) != 0 ||
        publish_version(f.dir, 3, trainer_state(t).params, &digest, &scratch, &bytes, &e) != 0)
        _exit(1);
    params_done(&scratch);
}

static void weights_files_appear_whole(void **state)
{
    (void)state;
    struct err err = {0};
    struct params scratch;
    struct trainer *t = lived_trainer(false);
    struct hash digest = params_digest(trainer_state(t).params);
    char *path = mem_printf("%s/weights/version-3.safetensors", f.dir);
    assert_ok(params_new(f.model.table, &scratch, &err));
    die_at("publish.written:1:kill", publish_it, t);
    assert_false(file_exists(path));
    die_at("publish.renamed:1:kill", publish_it, t);
    assert_ok(params_read(&scratch, path, &err));
    struct hash found = params_digest(&scratch);
    assert_true(hash_equal(&digest, &found));
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    publish_it(t); /* the file with the expected digest stays */
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    damage_file(path, FLIP);
    publish_it(t); /* a damaged one is replaced */
    assert_ok(params_read(&scratch, path, &err));
    found = params_digest(&scratch);
    assert_true(hash_equal(&digest, &found));
    assert_ok(publish_unlink(f.dir, 3, &err));
    assert_ok(publish_unlink(f.dir, 3, &err));
    assert_false(file_exists(path));
    params_done(&scratch);
    trainer_free(t);
    free(path);
}

static void prune_keeps_newest_needed_and_pinned(void **state)
{
    (void)state;
    struct version_row rows[8] = {{.version = 0}, {.version = 2, .needed = true}, {.version = 5},
        {.version = 6}, {.version = 7}, {.version = 8}};
    uint64_t pinned[] = {5}, out[8];
    struct publish_keep k = {.newest = 9, .keep = 2, .pinned = pinned, .pinned_count = 1};
    assert_int_equal(publish_prunable(rows, 6, &k, out), 3); /* 9 and 8 are the two newest */
    assert_true(out[0] == 0 && out[1] == 6 && out[2] == 7);
    k.newest = 8;
    assert_int_equal(publish_prunable(rows, 6, &k, out), 2); /* 8 and 7 */
    assert_true(out[0] == 0 && out[1] == 6);
    k.keep = 100;
    assert_int_equal(publish_prunable(rows, 6, &k, out), 0);
    k.keep = 0;
    assert_int_equal(publish_prunable(rows, 6, &k, out), 3); /* never the newest itself */
    assert_int_equal(publish_prunable(rows, 0, &k, out), 0);
}

static void model_directories_are_models(void **state)
{
    (void)state;
    struct err err = {0};
    struct params scratch;
    struct model_config c;
    struct trainer *t = lived_trainer(false);
    struct hash digest = params_digest(trainer_state(t).params);
    char *dir = mem_printf("%s/models/zero", f.dir);
    assert_ok(params_new(f.model.table, &scratch, &err));
    for (int again = 0; again < 2; again++) {
        assert_ok(publish_model(
            f.dir, "zero", trainer_state(t).params, &digest, f.model.tokenizer, &scratch, &err));
        assert_ok(model_dir_config(dir, &c, &err));
        assert_ok(model_dir_read(dir, &scratch, &err));
        struct hash found = params_digest(&scratch);
        assert_true(hash_equal(&digest, &found));
    }
    params_done(&scratch);
    trainer_free(t);
    free(dir);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_comes_back),
        TEST(damage_of_any_file_is_found),
        TEST(strange_state_is_refused),
        TEST(a_missing_one_is_data),
        TEST(the_list_knows_only_whole_ones),
        TEST(a_crash_leaves_none_or_a_whole_one),
        TEST(weights_files_appear_whole),
        TEST(prune_keeps_newest_needed_and_pinned),
        TEST(model_directories_are_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
