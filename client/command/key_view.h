// SPDX-License-Identifier: Apache-2.0
/* key_view - the allow list for people, from the JSON of `motley key list --json`. Pure but for the stream.
 */
#ifndef KEY_VIEW_H
#define KEY_VIEW_H

#include "keyring.h"

#include <stdbool.h>
#include <stdio.h>
#include <yyjson.h>

/* {name, role, invited_as, public_key, tenants[], added_at, expires_at, expired} of an entry. */
yyjson_mut_val *key_view_entry(yyjson_mut_doc *doc, const struct keyring_entry *entry, int64_t now_us);

void key_view_list(yyjson_val *entries, FILE *stream, bool styled, int64_t now_us);

#endif
