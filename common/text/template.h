/* template.h: prompt templates: what stands around a task's question.
 *
 * "plain" is the question itself. "r1-zero" is the conversation frame of DeepSeek-R1-Zero (Nature
 * 645:633, Table 1), in our words where the paper leaves freedom. "file:PATH" reads a user's file.
 * A template holds the placeholder {prompt} exactly once. Pure but for the file read.
 */
#ifndef COHORT_TEXT_TEMPLATE_H
#define COHORT_TEXT_TEMPLATE_H

#include "common/base/err.h"
#include "common/base/mem.h"

enum { TEMPLATE_BYTES_MAX = 64 << 10 };

struct template;

/* ERR_CONFIG for an unknown name or a wrong number of placeholders. */
int template_open(const char *name, struct template **ret, struct err *e) ERR_WARN_UNUSED;
void template_free(struct template *t);
/* Appends the template with prompt in its place. A placeholder inside the prompt stays as it is. */
void template_render(const struct template *t, const char *prompt, struct buf *out);
const char *template_text(const struct template *t);

#endif
