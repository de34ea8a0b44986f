/* http_fuzz.c: libFuzzer target: what strangers send to the HTTP face. The first byte chooses a
 * route, whose call gets the rest as its body, or the gate, which gets the lines of the rest as
 * headers. No sandbox is there: requests for programs end where a box would start.
 *
 * Whatever comes, the call ends with a status of the table and JSON as its answer; an answer has
 * one entry for each that was asked for; and a reward is a number or null.
 */
#include <stdlib.h>
#include <string.h>

#include "reward-server/http/gate.h"
#include "reward-server/http/routes.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_reward(const json_t *v)
{
    return json_is_number(v) || json_is_null(v);
}

static void check_answer(const struct call *c, const json_t *answer)
{
    const json_t *items = json_object_get(answer, "items");
    const json_t *rewards = json_object_get(answer, "rewards");
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        CHECK(is_reward(json_object_get(item, "reward")));
        CHECK(json_object_size(item) == 7);
    }
    CHECK(json_array_size(rewards) == json_array_size(json_object_get(answer, "scores")));
    for (size_t i = 0; i < json_array_size(rewards); i++)
        CHECK(is_reward(json_array_get(rewards, i)));
    if (strcmp(c->route->path, "/slime") == 0)
        CHECK(is_reward(answer));
}

static void run_call(const struct route *route, const uint8_t *data, size_t n)
{
    struct call_setup setup = {0};
    struct call c = {.route = route, .setup = &setup};
    buf_append(&c.body, data, n);
    call_run(&c);
    CHECK(c.status == 200 || c.status == 400 || c.status == 422 || c.status == route->busy);
    CHECK(c.answer != NULL && strlen(c.answer) == c.answer_len);
    json_t *answer = json_loadb(c.answer, c.answer_len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    CHECK(answer != NULL);
    if (c.status == 200)
        check_answer(&c, answer);
    else
        CHECK(json_is_string(json_object_get(answer, route->problem)));
    json_decref(answer);
    call_done(&c);
}

/* Host, Origin, Content-Type, Authorization; a line "-" is a header that is not there. */
static void ask_gate(const uint8_t *data, size_t n)
{
    static const char *const names[] = {"rewards.example"};
    char *text = strndup((const char *)data, n), *rest = text;
    const char *lines[4] = {NULL};
    for (size_t i = 0; i < 4 && rest != NULL; i++) {
        lines[i] = strsep(&rest, "\n");
        if (strcmp(lines[i], "-") == 0)
            lines[i] = NULL;
    }
    const struct gate g = {
        .wants_token = true, .token = hash_of("secret", 6), .names = names, .name_count = 1};
    const struct gate_request q = {.has_body = true,
        .over_tcp = true,
        .address = "10.0.0.1",
        .host = lines[0],
        .origin = lines[1],
        .content_type = lines[2],
        .authorization = lines[3]};
    const char *why = NULL;
    unsigned status = gate_check(&g, &q, &why);
    CHECK(status == 0 || ((status == 401 || status == 403 || status == 415) && why != NULL));

    if (status == 0)
        CHECK(lines[1] == NULL && lines[0] != NULL && lines[3] != NULL &&
              (strstr(lines[3], "secret") != NULL || strncasecmp(lines[3], "Basic ", 6) == 0));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    size_t choice = data[0] % (route_count + 1);
    if (choice == route_count)
        ask_gate(data + 1, n - 1);
    else if (routes[choice].answer != NULL)
        run_call(&routes[choice], data + 1, n - 1);
    return 0;
}
