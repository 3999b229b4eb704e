/* What a fold state says, rounded once to a double. NaN where it does not say it. */
#ifndef LH_FOLD_RESULT_H
#define LH_FOLD_RESULT_H

#include "fold.h"

enum {
    LH_RESULT_SLOPED = LH_SUMS, /* below: the sums themselves */
    LH_RESULT_MEAN, LH_RESULT_VARIANCE, LH_RESULT_SAMPLE_VARIANCE,
    LH_RESULT_STEPPED_MEAN, LH_RESULT_SLOPED_MEAN
};

#define LH_NS_PER_S UINT64_C(1000000000)

/* Integrals in value x seconds, means over time in the value's unit, variances in its square. */
static inline double lh_fold_result(const lh_fold_state *s, int64_t what) {
    static const uint8_t needs[] = {
        1, 2, 4, 8, 16, 12, 1, 3, 3, 4, 12,
    };
    lh_exact a, b;
    if ((lh_fold_known(s) & needs[what]) != needs[what]) return (double)NAN;
    lh_exact_clear(&a);
    lh_exact_clear(&b);
    const uint64_t good = (uint64_t)s->good;
    switch (what) {
    case LH_STEPPED:
    case LH_FORWARD:
        lh_exact_add_sum(&a, s, (int)what);
        return lh_exact_divide(&a, LH_NS_PER_S);
    case LH_RESULT_SLOPED:
    case LH_RESULT_SLOPED_MEAN:
        lh_exact_add_sum(&a, s, LH_STEPPED);
        lh_exact_add_sum(&a, s, LH_FORWARD);
        return lh_exact_divide(&a, 2 * (what == LH_RESULT_SLOPED ? LH_NS_PER_S : s->covered_ns));
    case LH_RESULT_STEPPED_MEAN:
        lh_exact_add_sum(&a, s, LH_STEPPED);
        return lh_exact_divide(&a, s->covered_ns);
    case LH_RESULT_MEAN:
        lh_exact_add_sum(&a, s, LH_SUM);
        return lh_exact_divide(&a, good);
    case LH_RESULT_VARIANCE:
    case LH_RESULT_SAMPLE_VARIANCE:
        lh_exact_add_sum(&a, s, LH_SQUARES);
        lh_exact_add_sum(&b, s, LH_SUM);
        return lh_exact_variance(&a, &b, good, good - (what == LH_RESULT_SAMPLE_VARIANCE && good));
    default:
        lh_exact_add_sum(&a, s, (int)what);
        return lh_exact_round(&a);
    }
}

#endif
