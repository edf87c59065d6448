/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_OP_SYS_H
#define KEYD_OP_SYS_H

#include "request.h"

/* A copy in the request's arena, as UTF-8 whatever it was; nothing for NULL and
 * "". */
enum hf_err sys_text(struct request *rq, const char *s, struct hf_text *out);

#endif
