/* weights.h: the weights of one version, the only owner of packed forms (DESIGN 8.2, seam 3).
 *
 * Packed once per version from the parameters, then read-only: any number of engines and training
 * contexts share one set, from any thread. A view has no copy: it reads the parameters where they
 * are, as they are at that moment, with the same bits.
 */
#ifndef COHORT_MODEL_WEIGHTS_H
#define COHORT_MODEL_WEIGHTS_H

#include "common/base/err.h"
#include "common/base/words.h"
#include "common/model/params.h"
#include "common/model/team.h"

struct weights;

/* type: of the packed matrices. */
int weights_new(const struct param_table *t, enum weights_type type, struct weights **ret,
    struct err *e) ERR_WARN_UNUSED;
/* p is borrowed and outlives the view. */
int weights_view(const struct params *p, struct weights **ret, struct err *e) ERR_WARN_UNUSED;
void weights_free(struct weights *w);
void weights_pack(struct weights *w, const struct params *p); /* copies what it needs of p; not
                                                                 for a view */
/* One member's share of that; the set is packed when all members have come back. */
void weights_pack_share(struct weights *w, const struct params *p, const struct team *team);

#endif
