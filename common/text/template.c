/* template.c: built-in prompt templates as data, and templates from files. */
#include "common/text/template.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/text/utf8.h"

struct template
{
    char *text;         /* owned */
    const char *before; /* points into text; up to the placeholder */
    size_t before_len;
    const char *after; /* points into text; to its end */
};

static const char placeholder[] = "{prompt}";

static const struct {
    const char *name, *text;
} builtins[] = {
    {"plain", "{prompt}"},
    /* The frame of the paper: a conversation, think first, then answer, each between its tags, no
     * chat tokens. The paper's literals are "User: {prompt}. Assistant:"; most prompts end with a
     * mark of their own, but the literal is what was published. */
    {"r1-zero",
        "This is a conversation between a User and an Assistant. The User asks a question, and the "
        "Assistant solves it. The Assistant first thinks about the reasoning process in its mind "
        "and "
        "then gives the User the answer. The reasoning process stands between <think> and "
        "</think>, "
        "the answer between <answer> and </answer>, that is, <think> reasoning process here "
        "</think> "
        "<answer> answer here </answer>. User: {prompt}. Assistant:"},
};

static int template_split(struct template *t, const char *name, struct err *e)
{
    const char *at = strstr(t->text, placeholder);
    if (at == NULL)
        return err_set(
            e, ERR_CONFIG, "template '%s': no %s in it, expected one", name, placeholder);
    t->before = t->text;
    t->before_len = (size_t)(at - t->text);
    t->after = at + strlen(placeholder);
    if (strstr(t->after, placeholder) != NULL)
        return err_set(
            e, ERR_CONFIG, "template '%s': more than one %s, expected one", name, placeholder);
    return 0;
}

/* Editors end a file with a newline; a prompt rarely wants it. Whoever does writes two. */
static int template_read(const char *path, char **ret, struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    int r = file_read(path, TEMPLATE_BYTES_MAX, &text, e);
    if (r != 0)
        return err_ctx(e, "template");
    if (!utf8_valid(text.data, text.len) || memchr(text.data, '\0', text.len) != NULL)
        return err_set(e, ERR_CONFIG, "template '%s': not UTF-8 text", path);
    size_t n = text.len;
    if (n > 0 && text.data[n - 1] == '\n')
        n--;
    *ret = mem_strndup((const char *)text.data, n);
    return 0;
}

static int template_source(const char *name, char **ret, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
        if (strcmp(builtins[i].name, name) == 0) {
            *ret = mem_strdup(builtins[i].text);
            return 0;
        }
    }
    if (strncmp(name, "file:", 5) == 0)
        return template_read(name + 5, ret, e);
    return err_set(
        e, ERR_CONFIG, "template '%s': unknown, expected plain, r1-zero or file:PATH", name);
}

int template_open(const char *name, struct template **ret, struct err *e)
{
    struct template *t = mem_alloc(sizeof(*t));
    int r = template_source(name, &t->text, e);
    if (r == 0)
        r = template_split(t, name, e);
    if (r != 0) {
        template_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void template_free(struct template *t)
{
    if (t == NULL)
        return;
    free(t->text);
    free(t);
}

void template_render(const struct template *t, const char *prompt, struct buf *out)
{
    buf_append(out, t->before, t->before_len);
    buf_puts(out, prompt);
    buf_puts(out, t->after);
}

const char *template_text(const struct template *t)
{
    return t->text;
}
