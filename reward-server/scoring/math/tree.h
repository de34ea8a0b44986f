/* tree.h: the values that answers are read into, and the budget that bounds all work on a pair.
 *
 * A tree is built in an arena and never changed. Sums and products have any number of operands, so
 * that depth grows with brackets only. Nothing in a tree is text to be run.
 *
 * Bounds of one pair (reference and answer): MATH_TEXT_MAX bytes a side, MATH_NODES_MAX nodes,
 * MATH_DEPTH_MAX levels, MATH_STEPS_MAX steps. A step is a token, a node visited, or about a
 * microsecond of ball arithmetic (dearer functions cost more, ball.c). When a bound is met the pair
 * is undecided, which counts as not equal and says so in the reason. No clock and no signal is
 * involved, so that the outcome is the same on every machine.
 */
#ifndef COHORT_SCORING_MATH_TREE_H
#define COHORT_SCORING_MATH_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/mem.h"

enum {
    MATH_TEXT_MAX = 4096,
    MATH_NODES_MAX = 8192,
    MATH_DEPTH_MAX = 96,
    MATH_STEPS_MAX = 200000,
    MATH_TERMS_MAX = 1024, /* of a sum or product that is computed */
    MATH_ITEMS_MAX = 64,   /* members of a list, set, tuple, union or row */
};

enum math_kind {
    MATH_NUM,      /* text: digits, value text x 10^-places; op 1: written with a point */
    MATH_BASED,    /* text: digits in base op */
    MATH_SYM,      /* text: name */
    MATH_PI,       /* the constants */
    MATH_E,        /* */
    MATH_I,        /* */
    MATH_INF,      /* */
    MATH_ADD,      /* any number of kids */
    MATH_MUL,      /* any number of kids */
    MATH_NEG,      /* 1 kid */
    MATH_INV,      /* 1 kid: its reciprocal */
    MATH_POW,      /* base, exponent */
    MATH_FUNC,     /* op: enum math_func; 1 or 2 kids */
    MATH_CALL,     /* text: name of an unknown function; its arguments */
    MATH_PM,       /* 1 kid; op 1 or -1: the sign it takes in the upper reading */
    MATH_BIG,      /* op 'S', 'P', 'I', 'L': sum, product, integral, limit; text: the bound name;
                      body[, low[, high]] */
    MATH_UNIT,     /* 1 kid; text: canonical unit (unit.h) */
    MATH_REL,      /* operands; text: one character of "=<>lgn~#" between each two */
    MATH_LIST,     /* members in any order; op 1: joined by "and", 2: by "or" */
    MATH_SET,      /* {...} */
    MATH_TUPLE,    /* (a, b, ...) or <a, b> */
    MATH_INTERVAL, /* low, high; op: bit 0 low closed, bit 1 high closed */
    MATH_UNION,    /* sets */
    MATH_MINUS,    /* set without a finite set */
    MATH_REALS,    /* the whole line */
    MATH_MATRIX,   /* row by row; op: columns */
    MATH_RATIO,    /* a : b [: c] */
    MATH_TIME,     /* places: minutes of the day; op: 0 unmarked, 1 a.m., 2 p.m. */
    MATH_TEXT,     /* words */
    MATH_DECL,  /* text: a name; op: the set of numbers that it runs through, 'Z', 'N', 'R' ... */
    MATH_CONG,  /* a value or an equation, modulus */
    MATH_CASES, /* value, condition, value, condition ... */
};

enum math_func {
    FUNC_SIN,
    FUNC_COS,
    FUNC_TAN,
    FUNC_COT,
    FUNC_SEC,
    FUNC_CSC,
    FUNC_ASIN,
    FUNC_ACOS,
    FUNC_ATAN,
    FUNC_SINH,
    FUNC_COSH,
    FUNC_TANH,
    FUNC_LN,
    FUNC_LOG, /* base, argument */
    FUNC_EXP,
    FUNC_ABS,
    FUNC_FLOOR,
    FUNC_CEIL,
    FUNC_FACT,
    FUNC_BINOM,
    FUNC_ACOT,
    FUNC_ASEC,
    FUNC_ACSC,
    FUNC_COTH,
    FUNC_SECH,
    FUNC_CSCH,
    FUNC_ASINH,
    FUNC_ACOSH,
    FUNC_ATANH,
    FUNC_CIS, /* cos + i sin */
    FUNC_MOD, /* of rational numbers only, as all that follow */
    FUNC_GCD,
    FUNC_LCM,
    FUNC_MAX,
    FUNC_MIN,
};

struct math_node {
    enum math_kind kind;
    int op;
    unsigned depth;
    size_t n;
    const struct math_node **kids; /* in the arena, as all pointers here */
    const char *text;              /* NUL-terminated */
    long places;
};

/* A bound name while its body is looked at: a whole number, or some value of its own. */
struct math_bound {
    const char *name;
    bool is_whole;
    int64_t value; /* else the depth */
    const struct math_bound *outer;
};

struct math_work {
    struct arena *arena;            /* borrowed */
    const struct math_bound *bound; /* innermost first */
    size_t steps_left, nodes_left;
    const char *why; /* a constant: the bound that was met, else NULL */
};

void math_work_init(struct math_work *w, struct arena *a);
/* Takes n steps; false, for good, once they are used up. */
bool math_step(struct math_work *w, size_t n);

/* NULL when a bound is met or a kid is NULL, so that constructors nest. Kids are copied. */
struct math_node *math_node(
    struct math_work *w, enum math_kind kind, const struct math_node *const *kids, size_t n);
struct math_node *math_node1(struct math_work *w, enum math_kind kind, const struct math_node *a);
struct math_node *math_node2(
    struct math_work *w, enum math_kind kind, const struct math_node *a, const struct math_node *b);
struct math_node *math_leaf(struct math_work *w, enum math_kind kind, const char *text, size_t n);
struct math_node *math_number(struct math_work *w, long value);

/* A fraction of small numbers: the exact value where it fits. */
struct math_small {
    int64_t num, den; /* den > 0, lowest terms */
};
bool math_small(struct math_work *w, const struct math_node *x, struct math_small *ret);
/* The bound name that x is, or NULL. */
const struct math_bound *math_bound_of(const struct math_work *w, const struct math_node *x);
/* The bound name of this one letter, or NULL; whether such a one stands in the index of x (a_k). */
const struct math_bound *math_bound_letter(const struct math_work *w, char letter);
bool math_bound_index(const struct math_work *w, const struct math_node *x);

/* x with all that is called name (a free name) replaced. */
const struct math_node *math_substitute(struct math_work *w, const struct math_node *x,
    const char *name, const struct math_node *value);

/* Whether a node of this kind (an unknown: MATH_SYM or MATH_CALL) is in the tree. */
bool math_has(struct math_work *w, const struct math_node *x, enum math_kind kind);
bool math_is_constant(struct math_work *w, const struct math_node *x); /* without unknowns */
/* A plain value: no relation, collection, text or sign alternative in it. */
bool math_is_value(struct math_work *w, const struct math_node *x);

#endif
