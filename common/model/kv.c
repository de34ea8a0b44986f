/* kv.c: see kv.h. */
#include "common/model/kv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

int kv_init(struct kv *kv, size_t layers, size_t layer_floats, size_t pages, struct err *e)
{
    *kv = (struct kv){.layer_floats = layer_floats, .total = pages};
    size_t page_floats = layers * layer_floats;
    if (pages > UINT32_MAX)
        return err_set(e, ERR_FAIL, "%zu pages of keys and values, at most %u", pages, UINT32_MAX);
    kv->data = mem_big(pages, page_floats * sizeof(float), "pages of keys and values", e);
    if (!kv->data)
        return ERR_FAIL;
    kv->page_floats = page_floats;
    kv->free = mem_array(pages, sizeof(*kv->free));
    kv->holders = mem_array(pages, sizeof(*kv->holders));
    for (size_t i = 0; i < pages; i++)
        kv->free[i] = (uint32_t)(pages - 1 - i);
    return 0;
}

void kv_done(struct kv *kv)
{
    mem_big_free(kv->data);
    mem_big_free(kv->gradients);
    free(kv->free);
    free(kv->holders);
    *kv = (struct kv){0};
}

int kv_need_gradients(struct kv *kv, struct err *e)
{
    if (kv->gradients)
        return 0;
    kv->gradients =
        mem_big(kv->total, kv->layer_floats * sizeof(float), "gradients of keys and values", e);
    return kv->gradients ? 0 : ERR_FAIL;
}

void kv_clear_gradients(const struct kv *kv)
{
    memset(kv->gradients, 0, kv->total * kv->layer_floats * sizeof(float));
}

void kv_seq_init(struct kv_seq *s, uint32_t pages_cap)
{
    *s = (struct kv_seq){.pages = mem_array(pages_cap, sizeof(float *)), .cap = pages_cap};
}

void kv_seq_done(struct kv_seq *s)
{
    assert(s->count == 0 && s->reserved == 0);
    free(s->pages);
    *s = (struct kv_seq){0};
}

bool kv_reserve(struct kv *kv, struct kv_seq *s, size_t n)
{
    if (n > kv_room(kv))
        return false;
    kv->reserved += n;
    s->reserved += n;
    return true;
}

static float *take_page(struct kv *kv, struct kv_seq *s)
{
    assert(s->reserved > 0);
    assert(s->count < s->cap);
    uint32_t number = kv->free[kv->total - kv->used - 1];
    kv->used++;
    kv->reserved--;
    s->reserved--;
    kv->holders[number] = 1;
    float *page = kv->data + number * kv->page_floats;
    s->pages[s->count++] = page;
    return page;
}

void kv_extend(struct kv *kv, struct kv_seq *s, size_t positions)
{
    while (s->count < kv_pages_for(positions))
        memset(take_page(kv, s), 0, kv->page_floats * sizeof(float));
}

static uint32_t number_of(const struct kv *kv, const float *page)
{
    return (uint32_t)((size_t)(page - kv->data) / kv->page_floats);
}

float *kv_gradient(const struct kv *kv, const float *page)
{
    return kv->gradients + number_of(kv, page) * kv->layer_floats;
}

void kv_fork(struct kv *kv, struct kv_seq *s, const struct kv_seq *prompt, size_t prompt_len)
{
    assert(s->count == 0);
    uint32_t full = (uint32_t)(prompt_len / KV_PAGE);
    assert(full <= s->cap);
    for (uint32_t i = 0; i < full; i++) {
        kv->holders[number_of(kv, prompt->pages[i])]++;
        s->pages[s->count++] = prompt->pages[i];
    }
    if (prompt_len % KV_PAGE != 0)
        memcpy(take_page(kv, s), prompt->pages[full], kv->page_floats * sizeof(float));
}

void kv_release(struct kv *kv, struct kv_seq *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t number = number_of(kv, s->pages[i]);
        assert(kv->holders[number] > 0);
        if (--kv->holders[number] == 0) {
            kv->used--;
            kv->free[kv->total - kv->used - 1] = number;
        }
    }
    kv->reserved -= s->reserved;
    s->reserved = 0;
    s->count = 0;
}
