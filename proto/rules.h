// SPDX-License-Identifier: Apache-2.0
/* rules - what must hold between the fields of a message, beyond each field's own bound. Pure.
 *
 * Each takes one decoded struct and returns NULL if it is right, else in words what is wrong. */
#ifndef RULES_H
#define RULES_H

const char *rules_slot(const void *slot);
const char *rules_attempt(const void *attempt);
const char *rules_hello(const void *hello);
const char *rules_result(const void *result);
const char *rules_fetch(const void *fetch);
const char *rules_job(const void *job);
const char *rules_lease(const void *lease);
const char *rules_client_hello(const void *client_hello);
const char *rules_blob_put(const void *blob_put);

#endif
