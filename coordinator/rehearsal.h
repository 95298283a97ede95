// SPDX-License-Identifier: Apache-2.0
/* rehearsal - what would become of a job (submit --dry-run): the scheduler's own forecast and explanations of
 * a job that it is asked to suppose, as JSON. Nothing is submitted.
 *
 *     name model samples_total, the wishes (report_wishes), deadline_at, forecast, slots_taking_part,
 *     slots[] (explanation.h), notes[]: what the user may not have meant, in words */
#ifndef REHEARSAL_H
#define REHEARSAL_H

#include "coordinator.h"

/* submit passed submission_check. *json is yours to free(). */
MUST_USE enum err rehearsal_json(struct coordinator *coordinator, const struct message_submit *submit,
                                 char **json, size_t *size, struct why *why);

#endif
