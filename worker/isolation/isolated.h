// SPDX-License-Identifier: Apache-2.0
/* isolated - a slot's runtime in a process of its own, so that a library that crashes, or that will not stop,
 * ends an attempt and not the worker. To the executor it is a runtime like any other.
 *
 *     executor's thread --isolated_ops--> ferry ==calls, rows==> slot process --inner ops--> the runtime
 *                                                                (in a sandbox, see sandbox.h)
 *
 * The process is started when the slot is opened. When it ends by itself (a signal, exit, no memory) the call
 * in progress fails with ERR_RUNTIME and says how it ended; the next call starts another, which loads again
 * the models that the slot had. What it answers is checked like a
 * peer's message: a runtime that was taken over can give wrong answers, and do what sandbox.h leaves to it.
 *
 * runtime_config: `inner` is the runtime to open there; emulated devices cannot be isolated
 * (ERR_UNSUPPORTED), as they have nothing to protect from. Rows are copied once each way, through shared
 * memory. */
#ifndef ISOLATED_H
#define ISOLATED_H

#include "runtime.h"

extern const struct runtime_ops isolated_ops;

#endif
