// SPDX-License-Identifier: Apache-2.0
/* verify_view - what --verify found in a job, as lines for people. */
#ifndef VERIFY_VIEW_H
#define VERIFY_VIEW_H

#include <stdio.h>
#include <yyjson.h>

/* verify: that key of a job; nothing is printed for null. */
void verify_view_print(yyjson_val *verify, FILE *stream);

#endif
