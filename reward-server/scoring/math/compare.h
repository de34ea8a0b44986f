/* compare.h: whether two trees are one answer. The reference's type decides which other types may
 * stand for it; docs/math-checker.md lists the rules.
 */
#ifndef COHORT_SCORING_MATH_COMPARE_H
#define COHORT_SCORING_MATH_COMPARE_H

#include "reward-server/scoring/math/field.h"

enum math_answer compare_answers(
    struct math_work *w, const struct math_node *reference, const struct math_node *answer);

/* Two plain values, with the decimal policy. */
enum math_answer compare_values(
    struct math_work *w, const struct math_node *reference, const struct math_node *answer);

/* Two plain values, exactly. */
enum math_answer compare_exact(
    struct math_work *w, const struct math_node *a, const struct math_node *b);

/* The decimal literal that x is, with or without a sign; NULL when it is none. */
const struct math_node *compare_literal(const struct math_node *x);

/* Members one by one. */
enum math_answer compare_in_order(
    struct math_work *w, const struct math_node *a, const struct math_node *b);

/* One of the two is such a quantity (quantity.c); the reference is a. */
enum math_answer compare_units(
    struct math_work *w, const struct math_node *a, const struct math_node *b);
enum math_answer compare_ratios(
    struct math_work *w, const struct math_node *a, const struct math_node *b);
enum math_answer compare_numerals(const struct math_node *a, const struct math_node *b);
enum math_answer compare_times(const struct math_node *a, const struct math_node *b);

/* Both as sets of real numbers: intervals, unions, inequalities in one name, finite sets of
 * numbers. MATH_UNKNOWN when one is none. */
enum math_answer compare_real_sets(
    struct math_work *w, const struct math_node *a, const struct math_node *b);

/* Equations and inequalities. */
enum math_answer compare_relations(
    struct math_work *w, const struct math_node *reference, const struct math_node *answer);

/* The operator of a relation read from the right: '<' for '>'. */
char relation_turned(char op);

/* x of "x = value", else NULL; ret_name gets what stands left. */
const struct math_node *relation_value(
    struct math_work *w, const struct math_node *x, const struct math_node **ret_name);

const struct math_node *relation_last_value(struct math_work *w, const struct math_node *x);

#endif
