/* frame.c: writes and checks the 64-byte header, the length and the tag (PROTOCOL.md section 1). */
#include "proto/frame.h"

#include <assert.h>
#include <stdbool.h>

#include "proto/limits.h"

/* Where each field lies. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_KEY_ID = 6,
    AT_TYPE = 8,
    AT_ROLE = 10,
    AT_RESERVED_BYTE = 11,
    AT_EPOCH = 12,
    AT_SESSION = 16,
    AT_SEQUENCE = 24,
    AT_REQUEST_ID = 32,
    AT_PAYLOAD_BYTES = 40,
    AT_RESERVED = 44,
};

static const uint8_t magic[4] = {'c', 'o', 'h', 'r'};

enum {
    FROM_LEARNER = 1 << ROLE_LEARNER,
    FROM_ACTOR = 1 << ROLE_ACTOR,
    FROM_REWARD = 1 << ROLE_REWARD,
    FROM_WORKER = FROM_ACTOR | FROM_REWARD,
};

/* Who may send a type, and how large its payload may be. */
static const struct type_rule {
    const char *name;
    unsigned senders;
    size_t payload_max;
} rules[MSG_TYPE_COUNT] = {
    [MSG_HELLO] = {"Hello", FROM_WORKER, LIMIT_CONTROL_BYTES},
    [MSG_WELCOME] = {"Welcome", FROM_LEARNER, LIMIT_CONTROL_REPLY_BYTES},
    [MSG_POLL] = {"Poll", FROM_WORKER, LIMIT_CONTROL_BYTES},
    [MSG_GRANT] = {"Grant", FROM_LEARNER, LIMIT_CONTROL_REPLY_BYTES},
    [MSG_HEARTBEAT] = {"Heartbeat", FROM_WORKER, LIMIT_CONTROL_BYTES},
    [MSG_HEARTBEAT_REPLY] = {"HeartbeatReply", FROM_LEARNER, LIMIT_CONTROL_REPLY_BYTES},
    [MSG_SUBMIT_GROUP] = {"SubmitGroup", FROM_ACTOR, LIMIT_SUBMIT_BYTES},
    [MSG_SUBMIT_SCORES] = {"SubmitScores", FROM_REWARD, LIMIT_SUBMIT_BYTES},
    [MSG_SUBMIT_REPLY] = {"SubmitReply", FROM_LEARNER, LIMIT_CONTROL_REPLY_BYTES},
    [MSG_RELEASE] = {"Release", FROM_WORKER, LIMIT_CONTROL_BYTES},
    [MSG_RELEASED] = {"Released", FROM_LEARNER, 0},
    [MSG_GET_BLOB] = {"GetBlob", FROM_WORKER, LIMIT_CONTROL_BYTES},
    [MSG_BLOB_CHUNK] = {"BlobChunk", FROM_LEARNER, LIMIT_CHUNK_BYTES + LIMIT_CHUNK_OVERHEAD_BYTES},
    [MSG_BYE] = {"Bye", FROM_LEARNER | FROM_WORKER, 0},
    [MSG_NACK] = {"Nack", FROM_LEARNER, LIMIT_CONTROL_REPLY_BYTES},
};

const char *frame_type_name(unsigned type)
{
    return type < MSG_TYPE_COUNT && rules[type].name != NULL ? rules[type].name : "?";
}

size_t frame_payload_max(unsigned type)
{
    return type < MSG_TYPE_COUNT ? rules[type].payload_max : 0;
}

void frame_write(struct buf *out, const struct frame *f)
{
    assert(f->payload_bytes <= frame_payload_max(f->type));
    uint8_t *p = buf_extend(out, FRAME_HEADER_BYTES + (size_t)f->payload_bytes + FRAME_TAG_BYTES);
    memset(p, 0, FRAME_HEADER_BYTES);
    memcpy(p + AT_MAGIC, magic, sizeof(magic));
    put_u16(p + AT_VERSION, FRAME_VERSION);
    put_u16(p + AT_KEY_ID, f->key_id);
    put_u16(p + AT_TYPE, f->type);
    p[AT_ROLE] = f->role;
    put_u32(p + AT_EPOCH, f->epoch);
    put_u64(p + AT_SESSION, f->session);
    put_u64(p + AT_SEQUENCE, f->sequence);
    put_u64(p + AT_REQUEST_ID, f->request_id);
    put_u32(p + AT_PAYLOAD_BYTES, f->payload_bytes);
    if (f->payload_bytes > 0)
        memcpy(p + FRAME_HEADER_BYTES, f->payload, f->payload_bytes);
    memset(p + FRAME_HEADER_BYTES + f->payload_bytes, 0, FRAME_TAG_BYTES);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= p[i];
    return any == 0;
}

/* What says that these bytes are a frame of this version at all. */
static int check_outside(const uint8_t *data, size_t n, struct err *e)
{
    if (n < FRAME_HEADER_BYTES + FRAME_TAG_BYTES)
        return err_set(e, ERR_LIMIT, "frame: %zu bytes, the least is %d", n,
            FRAME_HEADER_BYTES + FRAME_TAG_BYTES);
    if (memcmp(data + AT_MAGIC, magic, sizeof(magic)) != 0)
        return err_set(e, ERR_LIMIT, "frame: begins with %02x%02x%02x%02x, expected \"cohr\"",
            data[0], data[1], data[2], data[3]);
    if (get_u16(data + AT_VERSION) != FRAME_VERSION)
        return err_set(e, ERR_LIMIT, "frame: version %u, expected %d", get_u16(data + AT_VERSION),
            FRAME_VERSION);
    if (get_u16(data + AT_KEY_ID) != 0)
        return err_set(e, ERR_LIMIT, "frame: key id %u, expected 0: keyed frames are not supported",
            get_u16(data + AT_KEY_ID));
    if (data[AT_RESERVED_BYTE] != 0 ||
        !all_zero(data + AT_RESERVED, FRAME_HEADER_BYTES - AT_RESERVED))
        return err_set(e, ERR_LIMIT, "frame: a reserved byte of the header is not zero");
    return 0;
}

/* Who sent what, and how much of it. */
static int check_content(const struct frame *f, size_t n, struct err *e)
{
    if (f->role < ROLE_LEARNER || f->role > ROLE_REWARD)
        return err_set(e, ERR_LIMIT, "frame: role %u, expected 1 to 3", f->role);
    if (f->type == 0 || f->type >= MSG_TYPE_COUNT)
        return err_set(
            e, ERR_LIMIT, "frame: type %u, expected 1 to %d", f->type, MSG_TYPE_COUNT - 1);
    const struct type_rule *rule = &rules[f->type];
    if ((rule->senders & 1u << f->role) == 0)
        return err_set(e, ERR_LIMIT, "frame: role %u may not send %s", f->role, rule->name);
    if (f->payload_bytes > rule->payload_max)
        return err_set(e, ERR_LIMIT, "frame: %s with a payload of %u bytes, the limit is %zu",
            rule->name, f->payload_bytes, rule->payload_max);
    size_t expected = FRAME_HEADER_BYTES + (size_t)f->payload_bytes + FRAME_TAG_BYTES;
    if (n != expected)
        return err_set(
            e, ERR_LIMIT, "frame: %s of %zu bytes, its header says %zu", rule->name, n, expected);
    if (f->type == MSG_HELLO && (f->session != 0 || f->epoch != 0))
        return err_set(e, ERR_LIMIT, "frame: Hello with session %llu and epoch %u, expected 0",
            (unsigned long long)f->session, f->epoch);
    return 0;
}

int frame_parse(const uint8_t *data, size_t n, struct frame *ret, struct err *e)
{
    int r = check_outside(data, n, e);
    if (r != 0)
        return r;
    struct frame f = {
        .type = get_u16(data + AT_TYPE),
        .key_id = get_u16(data + AT_KEY_ID),
        .role = data[AT_ROLE],
        .epoch = get_u32(data + AT_EPOCH),
        .session = get_u64(data + AT_SESSION),
        .sequence = get_u64(data + AT_SEQUENCE),
        .request_id = get_u64(data + AT_REQUEST_ID),
        .payload_bytes = get_u32(data + AT_PAYLOAD_BYTES),
        .payload = data + FRAME_HEADER_BYTES,
    };
    r = check_content(&f, n, e);
    if (r != 0)
        return r;
    if (!all_zero(f.payload + f.payload_bytes, FRAME_TAG_BYTES))
        return err_set(e, ERR_LIMIT, "frame: %s without a key has a tag that is not zero",
            frame_type_name(f.type));
    *ret = f;
    return 0;
}
