/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_REQUEST_AUDIT_H
#define KEYD_REQUEST_AUDIT_H

#include "request.h"

/*
 * The two lines of a request in the audit log: no trace, no work. Parameters
 * stand there as their fields say: in clear, hashed, or by their length only.
 */

/* Before the operation; on the disk when it changes something. Again: nothing.
 */
enum hf_err request_audit_intent(struct request *rq);

/* What came of it. Without an intent it is a line of its own: a refusal. */
enum hf_err request_audit_outcome(struct request *rq, enum hf_err result);

#endif
