// SPDX-License-Identifier: Apache-2.0
#include "curve.h"

#include "ensure.h"

static const double FORGET =
    0.98; /* weight of an observation after another one: a memory of 50 batches for the shape */
static const double ERROR_GAIN = 0.1, ERROR_MIN = 0.01;
static const uint64_t YOUNG_BATCHES = 3;      /* a line through so few is no yardstick yet */
static const double SLACK = 0.5, ALARM = 8.0; /* CUSUM, in standard deviations: a shift of 1 is found in 16
                                                 batches, a false alarm comes once in some thousands */
static const double LEAP = 5.0;               /* so far off is no chance: believed at once ... */
static const double LEAP_ALERT = 3.0;         /* ... and so far off right after a change */
static const uint64_t ALERT_BATCHES = 2;
static const double OUTLIER = 3.0,
                    OUTLIER_WEIGHT = 0.1; /* a batch that far off says little about the shape */
static const double GUESS_US = 10000.0;   /* per sample, before anything is known */
static const double ALPHA_SHARE = 0.3;    /* of a first batch's time, when one size alone was seen */
static const double FIRST_WEIGHT = 0.2;   /* a first batch warms caches and allocates: it is not typical */
static const double TIME_MIN_US = 0.01, TIME_MAX_US = 1e13;

static bool plausible(double alpha_us, double beta_us)
{
    return alpha_us >= 0 && beta_us >= 0 && alpha_us + beta_us >= TIME_MIN_US && alpha_us < TIME_MAX_US &&
           beta_us < TIME_MAX_US;
}

static void add(struct curve *curve, double b, double t, double weight)
{
    curve->w += weight;
    curve->wb += weight * b;
    curve->wt += weight * t;
    curve->wbb += weight * b * b;
    curve->wbt += weight * b * t;
}

void curve_init(struct curve *curve, double alpha_us, double beta_us)
{
    *curve = (struct curve){ .alpha_us = 0, .beta_us = GUESS_US, .scale = 1.0, .error = 0.5 };
    curve_suggest(curve, alpha_us, beta_us);
}

void curve_suggest(struct curve *curve, double alpha_us, double beta_us)
{
    if (curve->batches > 0 || !plausible(alpha_us, beta_us))
        return;
    curve->alpha_us = alpha_us;
    curve->beta_us =
        beta_us > alpha_us * 1e-9 + TIME_MIN_US * 1e-3 ? beta_us : alpha_us * 1e-9 + TIME_MIN_US * 1e-3;
    curve->prior = true;
    curve->error = 0.25;
}

/* The line through the weighted observations, kept physical: beta > 0, alpha >= 0. With one size alone, the
 * line's split between alpha and beta cannot be known, and the present split is kept. */
static void fit(struct curve *curve)
{
    double spread = curve->w * curve->wbb - curve->wb * curve->wb;
    double mean_b = curve->wb / curve->w, mean_t = curve->wt / curve->w;
    if (spread <= 1e-6 * curve->wb * curve->wb) {
        double ratio = mean_t / (curve->alpha_us + curve->beta_us * mean_b);
        curve->alpha_us *= ratio;
        curve->beta_us *= ratio;
        return;
    }
    double beta = (curve->w * curve->wbt - curve->wb * curve->wt) / spread;
    double floor_us = 1e-4 * mean_t / mean_b;
    beta = beta > floor_us ? beta : floor_us;
    double alpha = mean_t - beta * mean_b;
    if (alpha < 0) {
        alpha = 0;
        beta = curve->wbt / curve->wbb;
    }
    curve->alpha_us = alpha;
    curve->beta_us = beta;
}

/* What is believed before the first observation: the prior as one observation at each end of what matters,
 * or, without one, the first observation's own split. */
static void begin(struct curve *curve, double b, double t)
{
    if (curve->prior) {
        add(curve, 1.0, curve->alpha_us + curve->beta_us, 0.1);
        add(curve, 4 * b, curve->alpha_us + curve->beta_us * 4 * b, 0.1);
        return;
    }
    curve->alpha_us = ALPHA_SHARE * t;
    curve->beta_us = (1 - ALPHA_SHARE) * t / b;
}

static double larger(double a, double b) { return a > b ? a : b; }

static void set_scale(struct curve *curve, double scale)
{
    curve->scale = scale < 1e-6 ? 1e-6 : scale > 1e6 ? 1e6 : scale;
    curve->up = curve->down = curve->recent = 0;
    curve->alert = ALERT_BATCHES;
}

/* Is the device still the one that it was? A two-sided CUSUM of measured over predicted; at an alarm the
 * scale becomes what the batches since the sum last stood at 0 say, the latest most. The batch in which the
 * change came shows a part of it: the next ones are believed sooner. Returns how much the batch counts for
 * the shape. */
static double follow(struct curve *curve, double ratio)
{
    double off = ratio / curve->scale, miss = off >= 1 ? off - 1 : 1 - 1 / off;
    double sigma = larger(1.25 * curve->error, ERROR_MIN), z = miss / sigma, size = miss < 0 ? -miss : miss;
    double leap = curve->alert > 0 ? LEAP_ALERT : LEAP;
    curve->alert -= curve->alert > 0;
    if (z > leap || z < -leap) {
        set_scale(curve, ratio);
        return 1.0;
    }
    double judged = (double)(curve->prior ? curve->batches : curve->batches - YOUNG_BATCHES);
    double gain = larger(ERROR_GAIN, 1.0 / (judged + 2));
    curve->error += gain * ((size < OUTLIER * sigma ? size : OUTLIER * sigma) - curve->error);
    curve->up = larger(0, curve->up + z - SLACK);
    curve->down = larger(0, curve->down - z - SLACK);
    double weight = size < OUTLIER * sigma ? 1.0 : OUTLIER_WEIGHT;
    if (curve->up <= 0 && curve->down <= 0) {
        curve->recent = 0;
        return weight;
    }
    curve->recent = curve->recent > 0 ? (curve->recent + ratio) / 2 : ratio;
    if (curve->up > ALARM || curve->down > ALARM)
        set_scale(curve, curve->recent);
    return weight;
}

static void forget(struct curve *curve)
{
    curve->w *= FORGET;
    curve->wb *= FORGET;
    curve->wt *= FORGET;
    curve->wbb *= FORGET;
    curve->wbt *= FORGET;
}

void curve_observe(struct curve *curve, double b, double t_us)
{
    if (!(b > 0) || !(t_us >= 0) || t_us > TIME_MAX_US)
        return;
    t_us = larger(t_us, TIME_MIN_US);
    if (curve->batches == 0)
        begin(curve, b, t_us);
    double weight = curve->batches == 0 ? FIRST_WEIGHT : 1.0;
    if (curve->prior || (curve->batches >= YOUNG_BATCHES && b <= 2 * curve->batch_tried))
        weight *= follow(curve, t_us / (curve->alpha_us + curve->beta_us * b));
    forget(curve);
    add(curve, b, t_us / curve->scale, weight);
    fit(curve);
    curve->batches++;
    curve->batch_tried = b > curve->batch_tried ? b : curve->batch_tried;
    ENSURE(curve->beta_us > 0 && curve->alpha_us >= 0 && curve->scale > 0);
}

double curve_time_us(const struct curve *curve, double b)
{
    return curve->scale * (curve->alpha_us + curve->beta_us * b);
}

bool curve_known(const struct curve *curve) { return curve->prior || curve->batches > 0; }
