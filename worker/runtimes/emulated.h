// SPDX-License-Identifier: Apache-2.0
/* emulated - a device of a fleet file, as far as one CPU can play it: real answers, stretched time (CONTRACT
 * section 3).
 *
 * An inner runtime computes the answers (onnxruntime with one thread for a model file, synthetic for the
 * built-in model); then the batch is held back until the device's curve, jitter and throttles say that it is
 * done, or until the real computation is, if that took longer: an overrun, which the result reports. Larger
 * batches than the device takes are ERR_LIMIT.
 *
 *     dies    the process kills itself with SIGKILL at that time, idle or not
 *     hangs   what runs, loads or comes after that time never ends, but by cancel
 *
 * The link is not emulated here: the loop delays the bytes. A run's energy is the busy power times its time.
 */
#ifndef EMULATED_H
#define EMULATED_H

#include "runtime.h"

extern const struct runtime_ops emulated_ops;

#endif
