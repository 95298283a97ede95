// SPDX-License-Identifier: Apache-2.0
/* analyzer - tells clang's analyzer, which sees one file at a time, what it cannot know of another: why_set
 * and why_set_errno return the error that they were given, which is never ERR_OK. Included before each file
 * by clang_tidy, by no build. */
#ifndef ANALYZER_H
#define ANALYZER_H

#include "../../common/err.h"

#define why_set(why, err, ...)       (why_set((why), (err), __VA_ARGS__), (err))
#define why_set_errno(why, err, ...) (why_set_errno((why), (err), __VA_ARGS__), (err))

#endif
