/* SPDX-License-Identifier: Apache-2.0 */
#include "random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "error.h"
#include "slot.h"

enum { HSM_AT_ONCE = 65536 };

static CK_RV
from_kernel(CK_BYTE *out, CK_ULONG len)
{
	while (len > 0) {
		ssize_t n = getrandom(out, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return CKR_FUNCTION_FAILED;
		out += n;
		len -= (CK_ULONG)n;
	}
	return CKR_OK;
}

static CK_RV
from_hsm(struct session *session, CK_BYTE *out, CK_ULONG len)
{
	while (len > 0) {
		size_t n = len < HSM_AT_ONCE ? len : HSM_AT_ONCE;
		struct hf_random_in in = { .item.bytes = n };
		struct hf_random_out result;
		struct call call;
		enum hf_err err = slot_call(&call, session->slot,
		    OP_transit_random, &in, &result, &session->why);

		if (err == HF_OK && result.result.random_bytes.len != n)
			err = HF_ERR_BAD_REPLY;
		if (err == HF_OK)
			memcpy(out, result.result.random_bytes.ptr, n);
		slot_done(&call);
		if (err != HF_OK)
			return rv_of(err);
		out += n;
		len -= n;
	}
	return CKR_OK;
}

CK_RV
random_fill(struct session *session, CK_BYTE *out, CK_ULONG len)
{
	if (out == NULL && len > 0)
		return CKR_ARGUMENTS_BAD;
	return session->slot->config.random_hsm ? from_hsm(session, out, len)
						: from_kernel(out, len);
}
