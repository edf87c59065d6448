/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

CK_RV
rv_of(enum hf_err err)
{
	return hf_err_ckr(err);
}

/* clang-format off */
#define NAME(rv) { rv, #rv }
static const struct {
	CK_RV rv;
	const char *name;
} names[] = {
	NAME(CKR_OK), NAME(CKR_HOST_MEMORY), NAME(CKR_SLOT_ID_INVALID),
	NAME(CKR_GENERAL_ERROR), NAME(CKR_FUNCTION_FAILED),
	NAME(CKR_ARGUMENTS_BAD), NAME(CKR_NO_EVENT), NAME(CKR_CANT_LOCK),
	NAME(CKR_ATTRIBUTE_READ_ONLY), NAME(CKR_ATTRIBUTE_SENSITIVE),
	NAME(CKR_ATTRIBUTE_TYPE_INVALID), NAME(CKR_ATTRIBUTE_VALUE_INVALID),
	NAME(CKR_ACTION_PROHIBITED), NAME(CKR_DATA_INVALID),
	NAME(CKR_DATA_LEN_RANGE), NAME(CKR_DEVICE_ERROR),
	NAME(CKR_DEVICE_MEMORY), NAME(CKR_ENCRYPTED_DATA_INVALID),
	NAME(CKR_ENCRYPTED_DATA_LEN_RANGE), NAME(CKR_AEAD_DECRYPT_FAILED),
	NAME(CKR_FUNCTION_CANCELED), NAME(CKR_FUNCTION_NOT_PARALLEL),
	NAME(CKR_FUNCTION_NOT_SUPPORTED), NAME(CKR_KEY_HANDLE_INVALID),
	NAME(CKR_KEY_SIZE_RANGE), NAME(CKR_KEY_TYPE_INCONSISTENT),
	NAME(CKR_KEY_INDIGESTIBLE), NAME(CKR_KEY_FUNCTION_NOT_PERMITTED),
	NAME(CKR_KEY_NOT_WRAPPABLE), NAME(CKR_KEY_UNEXTRACTABLE),
	NAME(CKR_MECHANISM_INVALID), NAME(CKR_MECHANISM_PARAM_INVALID),
	NAME(CKR_OBJECT_HANDLE_INVALID), NAME(CKR_OPERATION_ACTIVE),
	NAME(CKR_OPERATION_NOT_INITIALIZED), NAME(CKR_PIN_INCORRECT),
	NAME(CKR_PIN_LOCKED), NAME(CKR_SESSION_COUNT),
	NAME(CKR_SESSION_HANDLE_INVALID),
	NAME(CKR_SESSION_PARALLEL_NOT_SUPPORTED), NAME(CKR_SESSION_READ_ONLY),
	NAME(CKR_SIGNATURE_INVALID), NAME(CKR_SIGNATURE_LEN_RANGE),
	NAME(CKR_TEMPLATE_INCOMPLETE), NAME(CKR_TEMPLATE_INCONSISTENT),
	NAME(CKR_TOKEN_WRITE_PROTECTED),
	NAME(CKR_UNWRAPPING_KEY_HANDLE_INVALID),
	NAME(CKR_USER_ALREADY_LOGGED_IN), NAME(CKR_USER_NOT_LOGGED_IN),
	NAME(CKR_USER_TYPE_INVALID), NAME(CKR_WRAPPED_KEY_INVALID),
	NAME(CKR_WRAPPING_KEY_HANDLE_INVALID),
	NAME(CKR_RANDOM_SEED_NOT_SUPPORTED), NAME(CKR_CURVE_NOT_SUPPORTED),
	NAME(CKR_BUFFER_TOO_SMALL), NAME(CKR_SAVED_STATE_INVALID),
	NAME(CKR_STATE_UNSAVEABLE), NAME(CKR_CRYPTOKI_NOT_INITIALIZED),
	NAME(CKR_CRYPTOKI_ALREADY_INITIALIZED),
	NAME(CKR_OPERATION_CANCEL_FAILED), NAME(CKR_FUNCTION_REJECTED),
};
/* clang-format on */

const char *
rv_name(CK_RV rv)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].rv == rv)
			return names[i].name;
	return NULL;
}

static int64_t
now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/*
 * Where the log goes; NULL: nowhere. Read from the environment once, by the
 * first C_Initialize: a host may be changing it in another thread later.
 */
static char target_name[256];
static _Atomic(const char *) target;

void
trace_open(const char *to)
{
	size_t len = to == NULL ? 0 : strlen(to);

	if (len == 0 || len >= sizeof(target_name) ||
	    atomic_load(&target) != NULL)
		return;
	memcpy(target_name, to, len + 1);
	atomic_store(&target, target_name);
}

/* A descriptor kept open could be closed, or given a new meaning, by the
 * host; one line is one open and one write. */
static void
log_write(const char *to, const char *line, size_t len)
{
	int fd = STDERR_FILENO;

	if (*to == '/')
		fd = open(to,
		    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
			O_NONBLOCK,
		    0600);
	if (fd < 0)
		return;
	while (len > 0) {
		ssize_t n = write(fd, line, len);

		if (n <= 0)
			break;
		line += n;
		len -= (size_t)n;
	}
	if (*to == '/')
		(void)close(fd);
}

struct trace
trace_begin(const char *name)
{
	return (struct trace){ name, now_us(), errno };
}

CK_RV
trace_end(const struct trace *trace, CK_RV rv, const struct hf_why *why)
{
	const char *to = atomic_load(&target);
	const char *name = rv_name(rv);
	const char *reason = rv == CKR_OK || why == NULL ? "" : why->text;
	char line[512];
	int n;

	if (to != NULL) {
		n = snprintf(line, sizeof(line),
		    "holdfast-pkcs11[%ld]: %s %s (0x%lx) %lld us%s%s\n",
		    (long)getpid(), trace->name, name == NULL ? "" : name, rv,
		    (long long)(now_us() - trace->start),
		    *reason == '\0' ? "" : ": ", reason);
		if (n > 0)
			log_write(to, line,
			    (size_t)n < sizeof(line) ? (size_t)n
						     : sizeof(line) - 1);
	}
	errno = trace->saved_errno;
	return rv;
}
