// SPDX-License-Identifier: Apache-2.0
/* infer - motley_infer: one online request from arrays or a file, asked until it is answered or its time is
 * over. */
#ifndef INFER_H
#define INFER_H

struct motley;

/* Forget the model file that the connection knows. */
void infer_forget(struct motley *connection);

#endif
