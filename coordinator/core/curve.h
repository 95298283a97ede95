// SPDX-License-Identifier: Apache-2.0
/* curve - what a batch of b samples costs on a slot: alpha + beta * b microseconds, learned from the batches
 * it ran. Pure.
 *
 * The shape (alpha and beta) is a weighted least squares line that forgets slowly; on top of it a scale
 * follows the device's present speed within a few batches (throttling, neighbours). A prior (advertised or
 * measured at load) stands in until the slot has shown two batches, and then weighs as one observation.
 * Figures from outside that are not finite and positive are ignored. */
#ifndef CURVE_H
#define CURVE_H

#include <stdbool.h>
#include <stdint.h>

struct curve {
    double alpha_us, beta_us;   /* the shape; beta > 0, alpha >= 0 */
    double scale;               /* present speed: a batch takes scale * (alpha + beta * b) */
    double error;               /* smoothed relative error of the predictions, 0.5 until anything is known */
    uint64_t batches;           /* observed */
    double batch_tried;         /* the largest batch that ran */
    bool prior;                 /* alpha and beta came from outside and nothing contradicts them yet */
    double w, wb, wt, wbb, wbt; /* weighted sums of 1, b, t, b*b, b*t; t at scale 1 */
    double up, down;            /* CUSUM of slower and of faster than predicted, in standard deviations */
    uint64_t alert;             /* batches for which a second change is believed sooner */
    double recent;              /* measured over predicted at scale 1 since both stood at 0; 0 = they do */
};

/* alpha and beta both 0 (or absurd) = nothing known: then one sample is guessed to take 10 ms. */
void curve_init(struct curve *curve, double alpha_us, double beta_us);

/* A batch of b samples (as run, padding included; in mean samples where they cost differently) took t_us. */
void curve_observe(struct curve *curve, double b, double t_us);

/* A prior that arrives later (measured at load); ignored once batches were observed. */
void curve_suggest(struct curve *curve, double alpha_us, double beta_us);

double curve_time_us(const struct curve *curve, double b);
bool curve_known(const struct curve *curve); /* has a prior or at least one observation */

#endif
