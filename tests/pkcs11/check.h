/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PKCS11_CHECK_H
#define TESTS_PKCS11_CHECK_H

/* For hosts of the module that end at the first answer that is wrong. */
#include <err.h>

#include "../../pkcs11/cryptoki.h"

static unsigned checks; /* that held */

#define IS(call, want)                                                 \
	do {                                                           \
		CK_RV rv_ = (call);                                    \
		if (rv_ != (want))                                     \
			errx(1, "line %d: 0x%lx instead of 0x%lx: %s", \
			    __LINE__, rv_, (CK_ULONG)(want), #call);   \
		checks++;                                              \
	} while (0)
#define OK(call) IS(call, CKR_OK)
#define TRUE_(what)                                              \
	do {                                                     \
		if (!(what))                                     \
			errx(1, "line %d: %s", __LINE__, #what); \
		checks++;                                        \
	} while (0)

#endif
